package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.PortPoller;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What exists only while there is a backend: ring, references, port. Made and given back on the
/// control plane; used on the loop.
final class VbdConnection implements FrontendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VbdConnection.class);
    private static final int BUDGET = 128;

    /// Whose connection it is.
    interface Owner {
        /// What the backend says about the disk, when it connects and when that has changed. On the
        /// control plane.
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

    private final GuestDomain guest;
    private final TransferQueue transfers;
    private final Owner owner;

    private final int ringGfn;
    private final int[] ringGrefs;
    private final EventChannel port;
    private final IndirectPages indirect;
    private final boolean persistent;
    private final VbdQueue queue;
    private final PortPoller poller;

    private VbdConnection(
            GuestDomain guest,
            TransferQueue transfers,
            Owner owner,
            int ringGfn,
            int[] ringGrefs,
            EventChannel port,
            IndirectPages indirect,
            boolean persistent,
            VbdQueue queue) {
        this.guest = guest;
        this.transfers = transfers;
        this.owner = owner;
        this.ringGfn = ringGfn;
        this.ringGrefs = ringGrefs;
        this.port = port;
        this.indirect = indirect;
        this.persistent = persistent;
        this.queue = queue;
        this.poller =
                new PortPoller(
                        port,
                        transfers.loop(),
                        queue,
                        BUDGET,
                        t -> queue.breakDevice("ring: " + t.getMessage()));
    }

    /// Makes a ring for what the backend offers. When this throws everything has been given back.
    ///
    static VbdConnection open(
            GuestDomain guest,
            DevicePaths paths,
            Keys offer,
            VbdFrontendOptions options,
            TransferQueue transfers,
            Owner owner)
            throws StoreException, HandshakeException, EventChannelException {
        int order = Math.min(options.ringPageOrder(), (int) offer.number("max-ring-page-order", 0, 31, 0));
        int pages = 1 << order;
        int ringGfn = guest.pages().allocate(pages); // zeroed: nothing of ours reaches the backend
        if (ringGfn < 0) {
            throw new HandshakeException(
                    "no " + pages + " adjacent pages of guest memory for the ring");
        }
        GrantTable grants = guest.grants();
        MemorySegment memory = guest.memory().pages(ringGfn, pages);
        FrontRing ring = FrontRing.init(memory, BlkifLayout.X86_64.entrySizeBytes());
        int[] ringGrefs = claim(grants, pages);
        int poolPages = transfers.pool().pageCount();
        int wanted = dataGrefs(ring.entries(), poolPages);
        int[] dataGrefs = claim(grants, options.persistentGrants() ? poolPages : wanted);
        EventChannel port = null;
        try {
            if (ringGrefs.length < pages
                    || dataGrefs.length < BlkifLayout.MAX_SEGMENTS_PER_REQUEST) {
                throw new HandshakeException("no grant references left");
            }
            port = guest.eventChannels().allocUnbound(paths.backendDomain());
        } finally {
            if (port == null) {
                unclaim(grants, ringGrefs);
                unclaim(grants, dataGrefs);
                guest.pages().free(ringGfn, pages);
            }
        }
        for (int page = 0; page < pages; page++) {
            grants.grant(ringGrefs[page], paths.backendDomain(), ringGfn + page, false);
        }
        DomId backend = paths.backendDomain();
        // Without a reference for each page it works as if it were not wanted.
        PageGrants pageGrants =
                options.persistentGrants() && dataGrefs.length == poolPages
                        ? PageGrants.persistent(grants, backend, transfers, dataGrefs)
                        : PageGrants.forEachRequest(grants, backend, transfers, dataGrefs);
        IndirectPages indirect = IndirectPages.take(guest, paths.backendDomain());
        VbdQueue queue =
                new VbdQueue(
                        ring,
                        port,
                        pageGrants,
                        indirect,
                        paths.device(),
                        transfers);
        VbdConnection connection =
                new VbdConnection(
                        guest,
                        transfers,
                        owner,
                        ringGfn,
                        ringGrefs,
                        port,
                        indirect,
                        pageGrants.isPersistent(),
                        queue);
        queue.onBroken(
                reason -> {
                    connection.poller.stop();
                    owner.broken(reason);
                });
        return connection;
    }

    /// One for each page that may be under way: not more than the buffers have, and not so many that
    /// other devices of the guest find none.
    private static int dataGrefs(int entries, int poolPages) {
        int wanted =
                Math.max(
                        entries * BlkifLayout.MAX_SEGMENTS_PER_REQUEST,
                        8 * VbdGeometry.MAX_INDIRECT_SEGMENTS);
        return Math.min(wanted, Math.max(poolPages, BlkifLayout.MAX_SEGMENTS_PER_REQUEST));
    }

    private static int[] claim(GrantTable grants, int count) {
        int[] grefs = new int[count];
        for (int i = 0; i < count; i++) {
            grefs[i] = grants.claim();
            if (grefs[i] < 0) {
                return Arrays.copyOf(grefs, i); // fewer requests at a time then
            }
        }
        return grefs;
    }

    private static void unclaim(GrantTable grants, int[] grefs) {
        for (int gref : grefs) {
            grants.unclaim(gref);
        }
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        List<Integer> grefs = IntStream.of(ringGrefs).boxed().toList();
        new RingKeys(grefs, port.port(), RingKeys.X86_64).write(keys, folder);
        keys.write(folder + "/feature-persistent", persistent ? "1" : "0");
    }

    @Override
    public void connected(Keys backend) throws StoreException, HandshakeException {
        VbdGeometry geometry = VbdGeometry.read(backend);
        owner.seen(this, geometry);
        onLoop(() -> transfers.attach(queue, geometry));
        poller.start();
        owner.connected();
    }

    @Override
    public void changed(Keys backend) throws StoreException, HandshakeException {
        VbdGeometry geometry = VbdGeometry.read(backend);
        owner.seen(this, geometry);
        onLoop(
                () -> {
                    queue.useGeometry(geometry);
                    transfers.endWhatDoesNotFit(geometry);
                });
    }

    @Override
    public void pause(Executor executor, Runnable quiet) {
        onLoop(() -> queue.pause(() -> executor.execute(quiet)));
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
                                    poller.stop();
                                    queue.close();
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
        queue.breakDevice(reason);
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
        port.close();
        GrantTable grants = guest.grants();
        for (int page = 0; page < ringGrefs.length; page++) {
            int gref = ringGrefs[page];
            if (grants.tryRevoke(gref)) {
                grants.unclaim(gref);
                guest.pages().free(ringGfn + page, 1);
            } else {
                grants.quarantine(gref, ringGfn + page);
            }
        }
        indirect.close();
        queue.unclaimGrefs();
    }
}
