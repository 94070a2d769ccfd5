package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.Frame;
import org.splitring.bridge.PortCapabilities;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PortPoller;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifCtrlLayout;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.RingObserver;
import org.splitring.xenbus.RingViews;

/// What exists only while a frontend is connected: queues, control ring, mappings. Made and ended
/// on the control plane; a new connection is a new object, so that nothing of an old one can be
/// met.
final class VifConnection implements BackendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VifConnection.class);
    private static final int CONTROL_BUDGET = 16;

    private static final int TAG_BYTES = 2 * Frame.TAG_BYTES;

    private final VifPort port;
    private final DeviceLoop loop;
    private final ForeignPages pages;
    private final MulticastFilter multicast;
    private final HashConfig hash;
    private final StaticGrants[] kept; // of each queue
    private final VifNote note;
    private final VifCounters counters;
    private final Consumer<Throwable> onBroken;

    private VifQueue[] queues = {};
    private @Nullable EventChannel controlChannel;
    private @Nullable BackRing controlRing;
    private @Nullable PortPoller controlPoller;
    private @Nullable RingObserver observer; // set when everything is open

    // On the loop.
    private long dirtyQueues;
    private boolean broken;

    private VifConnection(
            VifPort port,
            DeviceLoop loop,
            ForeignPages pages,
            VifKeys keys,
            VifNote note,
            VifCounters counters,
            Consumer<Throwable> onBroken) {
        this.port = port;
        this.loop = loop;
        this.pages = pages;
        this.note = note;
        this.counters = counters;
        this.onBroken = onBroken;
        multicast = new MulticastFilter(keys.multicastControl(), note.multicast());
        hash = new HashConfig(keys.queues().size(), note.hash());
        kept = new StaticGrants[keys.queues().size()];
        Arrays.setAll(kept, queue -> new StaticGrants(pages));
    }

    /// Maps the rings, binds the ports and starts to serve; with the note of a predecessor, where
    /// that has left them.
    ///
    /// @param note forgotten with the connection, also when this throws
    /// @param onBroken is told once, on the loop, why serving has stopped by itself
    static VifConnection open(
            DriverDomain domain,
            DomId frontend,
            VifKeys keys,
            VifPort port,
            VifPlace place,
            VifBackendOptions options,
            VifNote note,
            VifCounters counters,
            Consumer<Throwable> onBroken)
            throws GrantException, EventChannelException {
        int maxMappings = 1 + keys.queues().size() * VifQueue.MAX_MAPPINGS;
        ForeignPages pages;
        try {
            pages = domain.foreignPages(frontend, maxMappings);
        } catch (GrantException e) {
            note.memory().forget();
            throw e;
        }
        VifConnection made =
                new VifConnection(port, place.loop(), pages, keys, note, counters, onBroken);
        try {
            List<VifQueue> queues = new ArrayList<>();
            for (VifKeys.QueueKeys queue : keys.queues()) {
                queues.add(
                        VifQueue.open(
                                domain,
                                frontend,
                                keys,
                                queue,
                                pages,
                                made.kept[queues.size()],
                                port,
                                place.loop(),
                                made.multicast,
                                options,
                                counters,
                                made::carrierChanged,
                                note,
                                note.queues().get(queues.size()),
                                made::broken));
                made.queues = queues.toArray(VifQueue[]::new);
            }
            if (keys.control().isPresent()) {
                made.openControl(domain, frontend, keys.control().get());
            }
        } catch (GrantException | EventChannelException | RuntimeException e) {
            made.closeChannels();
            pages.close();
            note.memory().forget();
            throw e;
        }
        made.observe();
        made.start(capabilities(keys, place.mtu()));
        return made;
    }

    private void openControl(DriverDomain domain, DomId frontend, VifKeys.ControlKeys keys)
            throws GrantException, EventChannelException {
        MemorySegment shared = pages.mapContiguous(new int[] {keys.ring()});
        EventChannel channel = domain.eventChannels().bindInterdomain(frontend, keys.port());
        controlChannel = channel;
        BackRing ring =
                note.isFound()
                        ? note.control().resume(shared)
                        : BackRing.init(shared, NetifCtrlLayout.ENTRY_SIZE_BYTES);
        ControlQueue control = new ControlQueue(ring, note.control(), pages, channel, hash, kept);
        controlPoller = new PortPoller(channel, loop, control, CONTROL_BUDGET, this::broken);
        controlRing = ring;
    }

    private void observe() {
        List<RingObserver.Observed> rings = new ArrayList<>();
        for (int queue = 0; queue < queues.length; queue++) {
            rings.addAll(queues[queue].observed("queue-" + queue));
        }
        EventChannel channel = controlChannel;
        PortPoller poller = controlPoller;
        BackRing ring = controlRing;
        if (channel != null && poller != null && ring != null) {
            rings.add(new RingObserver.Observed("control", ring, channel, poller));
        }
        observer = new RingObserver(loop, rings);
    }

    @Override
    public CompletableFuture<RingViews> rings(Executor executor) {
        return Objects.requireNonNull(observer).look(executor);
    }

    /// What the frontend takes as it is.
    private static PortCapabilities capabilities(VifKeys keys, int mtu) {
        if (!keys.scatterGather()) { // one page is all there is for a frame
            int most =
                    GuestMemory.PAGE_SIZE - keys.xdpHeadroom() - Frame.ETHERNET_BYTES - TAG_BYTES;
            return new PortCapabilities(
                    Math.min(mtu, most), keys.checksumV4(), keys.checksumV6(), false, false, 0);
        }
        return new PortCapabilities(
                mtu,
                keys.checksumV4(),
                keys.checksumV6(),
                keys.gsoV4() && keys.checksumV4(),
                keys.gsoV6() && keys.checksumV6(),
                0xFFFF); // netif.h's largest frame
    }

    private void start(PortCapabilities capabilities) {
        onLoop(() -> port.connect(this, capabilities));
        for (VifQueue queue : queues) {
            queue.start();
        }
        PortPoller control = controlPoller;
        if (control != null) {
            control.start();
        }
        if (note.isFound()) {
            onLoop(this::wakeBothEnds);
        }
    }

    private void wakeBothEnds() {
        for (VifQueue queue : queues) {
            queue.wakeBothEnds();
        }
        EventChannel channel = controlChannel;
        PortPoller control = controlPoller;
        if (channel != null && control != null) {
            channel.send();
            control.wake();
        }
    }

    // On the loop.

    /// Takes one frame for the guest.
    boolean offer(Frame frame) {
        if (!multicast.passes(frame)) {
            VifCounters.add(counters.rxMulticastFiltered, 1);
            return false;
        }
        int queue = hash.queueOf(frame);
        dirtyQueues |= 1L << queue;
        return queues[queue].rx().offer(frame, hash.hashType(), hash.hash());
    }

    void flush() {
        long dirty = dirtyQueues;
        dirtyQueues = 0;
        while (dirty != 0) {
            queues[Long.numberOfTrailingZeros(dirty)].rx().flush();
            dirty &= dirty - 1;
        }
    }

    void limitChanged() {
        for (VifQueue queue : queues) {
            queue.tx().limitChanged();
        }
    }

    private void carrierChanged(boolean on) {
        LOG.info(
                "vif of {}: {}",
                pages.frontend(),
                on ? "takes frames again" : "takes no frames: the carrier is off");
    }

    /// The guest broke the protocol on one ring: nothing of it is served any more (H-040, H-041).
    private void broken(Throwable cause) {
        if (!broken) {
            broken = true;
            stop();
            onBroken.accept(cause);
        }
    }

    private void stop() {
        port.disconnect(this);
        for (VifQueue queue : queues) {
            queue.stop();
        }
        PortPoller control = controlPoller;
        if (control != null) {
            control.stop();
        }
    }

    /// Stops, and gives everything back.
    ///
    /// @param control gives the pages back
    /// @param closed runs there when nothing is mapped
    @Override
    public void close(Executor control, Runnable closed) {
        Runnable last =
                () -> {
                    closeChannels();
                    control.execute(() -> giveBack(closed));
                };
        try {
            loop.execute(
                    () -> {
                        stop();
                        last.run();
                    });
        } catch (RejectedExecutionException e) {
            LOG.debug("vif of {}: the loop ended before the device", pages.frontend());
            last.run(); // nobody serves anything any more
        }
    }

    private void giveBack(Runnable closed) {
        try {
            pages.close();
            note.memory().forget();
        } finally {
            closed.run();
        }
    }

    private void closeChannels() {
        for (VifQueue queue : queues) {
            queue.closeChannels();
        }
        EventChannel control = controlChannel;
        if (control != null) {
            control.close();
        }
    }

    private void onLoop(Runnable task) {
        try {
            loop.execute(task);
        } catch (RejectedExecutionException e) {
            LOG.debug("vif of {}: the loop has ended", pages.frontend());
        }
    }
}
