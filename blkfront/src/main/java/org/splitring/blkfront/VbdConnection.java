package org.splitring.blkfront;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.PortPoller;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What exists only while there is a backend: rings, references, ports. Made and given back on
/// the control plane; used on the loop.
final class VbdConnection implements FrontendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VbdConnection.class);
    private static final int BUDGET = 128;

    /// Whose connection it is.
    interface Owner {
        /// What the backend says about the disk, when it connects and when that has changed. On
        /// the control plane.
        void seen(VbdConnection connection, VbdGeometry geometry);

        /// Transfers get on. On the control plane.
        ///
        /// @throws HandshakeException when there is no use for the disk
        void connected() throws HandshakeException;

        /// The device is being unplugged: transfers are refused when `done` has run. Returns at
        /// once.
        void leaving(Runnable done);

        /// How the backend broke the protocol. On the loop, once.
        void broken(String reason);
    }

    private final TransferQueue transfers;
    private final Owner owner;
    private final List<VbdRing> rings;
    private final List<VbdQueue> queues = new ArrayList<>(); // one for each ring
    private final List<PortPoller> pollers = new ArrayList<>();
    private final PageGrants pageGrants;
    private final IndirectPages indirect;
    private boolean broken; // of the loop
    private int notQuiet; // of the loop

    private VbdConnection(
            TransferQueue transfers,
            Owner owner,
            List<VbdRing> rings,
            PageGrants pageGrants,
            IndirectPages indirect,
            int handle) {
        this.transfers = transfers;
        this.owner = owner;
        this.rings = rings;
        this.pageGrants = pageGrants;
        this.indirect = indirect;
        for (VbdRing ring : rings) {
            VbdQueue queue =
                    new VbdQueue(ring.ring(), ring.port(), pageGrants, indirect, handle, transfers);
            queue.onBroken(this::breakAll);
            queues.add(queue);
            pollers.add(
                    new PortPoller(
                            ring.port(),
                            transfers.loop(),
                            queue,
                            BUDGET,
                            t -> queue.breakDevice("ring: " + t.getMessage())));
        }
    }

    /// Makes rings for what the backend offers. When this throws everything has been given back.
    static VbdConnection open(
            GuestDomain guest,
            DevicePaths paths,
            Keys offer,
            VbdFrontendOptions options,
            TransferQueue transfers,
            Owner owner)
            throws StoreException, HandshakeException, EventChannelException {
        int order =
                Math.min(
                        options.ringPageOrder(),
                        (int) offer.number("max-ring-page-order", 0, 31, 0));
        long maxQueues = offer.number("multi-queue-max-queues", 1, 0xFFFF_FFFFL, 1);
        int queues = (int) Math.min(options.queues(), maxQueues);
        boolean persistent =
                options.persistentGrants()
                        && offer.number("feature-persistent", 0, 0xFFFF_FFFFL, 0) != 0;
        boolean keepGranted = persistent || guest.grants().isLasting();
        DomId backend = paths.backendDomain();
        List<VbdRing> rings = new ArrayList<>();
        boolean made = false;
        try {
            for (int i = 0; i < queues; i++) {
                rings.add(VbdRing.make(guest, backend, 1 << order));
            }
            PageGrants pageGrants =
                    pageGrants(guest.grants(), backend, keepGranted, transfers, rings.getFirst());
            IndirectPages indirect = IndirectPages.take(guest, backend);
            made = true;
            return new VbdConnection(transfers, owner, rings, pageGrants, indirect, paths.device());
        } finally {
            if (!made) {
                rings.forEach(VbdRing::close);
            }
        }
    }

    private static PageGrants pageGrants(
            GrantTable grants,
            DomId backend,
            boolean keepGranted,
            TransferQueue transfers,
            VbdRing ring)
            throws HandshakeException {
        int poolPages = transfers.pool().pageCount();
        int wanted = dataGrefs(ring.ring().entries(), poolPages);
        int[] grefs =
                keepGranted
                        ? VbdRing.claimFor(grants, transfers.poolFirstGfn(), poolPages)
                        : VbdRing.claim(grants, wanted);
        if (grefs.length < BlkifLayout.MAX_SEGMENTS_PER_REQUEST) {
            VbdRing.unclaim(grants, grefs);
            throw new HandshakeException("no grant references left");
        }
        // Without a reference for each page it works as if it were not wanted.
        return keepGranted && grefs.length == poolPages
                ? PageGrants.persistent(grants, backend, transfers, grefs)
                : PageGrants.forEachRequest(grants, backend, transfers, grefs);
    }

    /// One for each page that may be under way: not more than the buffers have, and not so many
    /// that other devices of the guest find none.
    private static int dataGrefs(int entries, int poolPages) {
        int wanted =
                Math.max(
                        entries * BlkifLayout.MAX_SEGMENTS_PER_REQUEST,
                        8 * VbdGeometry.MAX_INDIRECT_SEGMENTS);
        return Math.min(wanted, Math.max(poolPages, BlkifLayout.MAX_SEGMENTS_PER_REQUEST));
    }

    /// One ring broke the protocol: there is no believing the others. On the loop.
    private void breakAll(String reason) {
        if (broken) {
            return;
        }
        broken = true;
        pollers.forEach(PortPoller::stop);
        queues.forEach(queue -> queue.breakDevice(reason));
        pageGrants.endAll(true);
        owner.broken(reason);
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        RingKeys.writeQueues(rings.stream().map(VbdRing::keys).toList(), keys, folder);
        keys.write(folder + "/feature-persistent", pageGrants.isPersistent() ? "1" : "0");
    }

    @Override
    public void connected(Keys backend) throws StoreException, HandshakeException {
        VbdGeometry geometry = VbdGeometry.read(backend);
        owner.seen(this, geometry);
        onLoop(() -> transfers.attach(queues, geometry));
        pollers.forEach(PortPoller::start);
        owner.connected();
    }

    @Override
    public void changed(Keys backend) throws StoreException, HandshakeException {
        VbdGeometry geometry = VbdGeometry.read(backend);
        owner.seen(this, geometry);
        onLoop(
                () -> {
                    queues.forEach(queue -> queue.useGeometry(geometry));
                    transfers.endWhatDoesNotFit(geometry);
                });
    }

    @Override
    public void pause(Executor executor, Runnable quiet) {
        onLoop(
                () -> {
                    notQuiet = queues.size();
                    Runnable one =
                            () -> {
                                notQuiet--;
                                if (notQuiet == 0) {
                                    executor.execute(quiet);
                                }
                            };
                    queues.forEach(queue -> queue.pause(one));
                });
    }

    @Override
    public void drain(Executor executor, Runnable quiet) {
        Runnable refuse =
                () -> {
                    transfers.refuse();
                    transfers.whenIdle(() -> executor.execute(quiet));
                };
        owner.leaving(() -> onLoop(refuse));
    }

    @Override
    public void close(Executor executor, Runnable closed) {
        Runnable last =
                () -> {
                    try {
                        giveBack();
                    } finally {
                        closed.run();
                    }
                };
        try {
            transfers
                    .loop()
                    .execute(
                            () -> {
                                try {
                                    pollers.forEach(PortPoller::stop);
                                    queues.forEach(VbdQueue::stopSending);
                                    queues.forEach(VbdQueue::close);
                                    pageGrants.endAll(broken);
                                } finally {
                                    executor.execute(last);
                                }
                            });
        } catch (RejectedExecutionException e) {
            LOG.debug("the loop has ended before its vbd", e);
            executor.execute(last);
        }
    }

    /// The owner gives up on the backend. On the loop.
    void abandon(String reason) {
        queues.getFirst().breakDevice(reason);
    }

    private void onLoop(Runnable task) {
        DeviceLoop loop = transfers.loop();
        try {
            loop.execute(task);
        } catch (RejectedExecutionException e) {
            LOG.debug("the loop has ended before its vbd", e);
        }
    }

    private void giveBack() {
        rings.forEach(VbdRing::close);
        indirect.close();
        pageGrants.unclaim();
    }
}
