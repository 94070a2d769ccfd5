package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.PortPoller;
import org.splitring.ring.BackRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.RingObserver;
import org.splitring.xenbus.RingViews;

/// What exists only while a frontend is connected: rings, ports, mappings. Made and ended on the
/// control plane; a new connection is a new object, so that nothing of an old one can be met. All
/// rings of a vbd are served by its loop, in turn.
final class VbdConnection implements BackendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VbdConnection.class);

    private final DeviceLoop loop;
    private final ForeignPages pages;
    private final VbdGate gate;
    private final VbdNote note;
    private final List<ServedRing> rings;
    private final RingObserver observer;
    private int busy; // rings that are not idle yet; of the loop

    /// One ring and what serves it.
    private record ServedRing(
            EventChannel port,
            MemorySegment pages,
            BackRing back,
            DiskQueue queue,
            PortPoller poller) {
        /// The predecessor may have published answers and not told of them, or have been asked for
        /// an event that it never got.
        void wakeBothEnds() {
            port.send();
            poller.wake();
        }
    }

    private VbdConnection(
            DeviceLoop loop,
            ForeignPages pages,
            VbdGate gate,
            VbdNote note,
            List<ServedRing> rings) {
        this.loop = loop;
        this.pages = pages;
        this.gate = gate;
        this.note = note;
        this.rings = rings;
        busy = rings.size();
        List<RingObserver.Observed> observed = new ArrayList<>();
        for (ServedRing ring : rings) {
            observed.add(
                    new RingObserver.Observed(
                            "queue-" + observed.size(), ring.back, ring.port, ring.poller));
        }
        observer = new RingObserver(loop, observed);
    }

    /// Maps the rings, binds the ports and starts to serve; with the note of a predecessor, where
    /// that has left them.
    ///
    /// @param note for each ring in order; forgotten with the connection, also when this throws
    /// @param onBroken is told on the loop why serving of a ring has stopped by itself
    static VbdConnection open(
            DriverDomain domain,
            DomId frontend,
            List<RingKeys> keys,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            VbdCounters counters,
            VbdFeatures features,
            VbdGate gate,
            Executor workers,
            VbdNote note,
            Consumer<Throwable> onBroken)
            throws GrantException, EventChannelException {
        try {
            return openNoted(
                    domain, frontend, keys, disk, loop, options, counters, features, gate, workers,
                    note, onBroken);
        } catch (GrantException | EventChannelException | RuntimeException e) {
            note.memory().forget();
            throw e;
        }
    }

    private static VbdConnection openNoted(
            DriverDomain domain,
            DomId frontend,
            List<RingKeys> keys,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            VbdCounters counters,
            VbdFeatures features,
            VbdGate gate,
            Executor workers,
            VbdNote note,
            Consumer<Throwable> onBroken)
            throws GrantException, EventChannelException {
        BlkifLayout layout = VbdNote.layout(keys);
        int slots = VbdNote.slots(keys);
        int largeRequests = Math.max(2, DiskQueue.LARGE_REQUESTS / keys.size());
        int least = 0;
        int wanted = 0;
        for (RingKeys ring : keys) {
            int plain = ring.grefs().size() + slots * BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
            least += plain;
            wanted +=
                    plain
                            + largeRequests * features.maxIndirectSegments()
                            + features.maxPersistentGrants();
        }
        ForeignPages pages = window(domain, frontend, least, wanted);
        List<EventChannel> ports = new ArrayList<>();
        List<ServedRing> rings = new ArrayList<>();
        try {
            for (RingKeys ring : keys) {
                MemorySegment memory = pages.mapContiguous(ring.grefArray());
                QueueNote queueNote = note.queues().get(rings.size());
                BackRing back =
                        note.isFound()
                                ? resume(memory, layout, queueNote)
                                : BackRing.init(memory, layout.entrySizeBytes());
                EventChannel port =
                        domain.eventChannels().bindInterdomain(frontend, ring.eventChannel());
                ports.add(port);
                DiskQueue queue =
                        new DiskQueue(
                                back,
                                layout,
                                pages,
                                port,
                                disk,
                                workers,
                                loop,
                                counters,
                                features,
                                largeRequests,
                                gate,
                                queueNote);
                PortPoller poller = new PortPoller(port, loop, queue, options.budget(), onBroken);
                rings.add(new ServedRing(port, memory, back, queue, poller));
            }
            loop.execute(() -> rings.forEach(ring -> gate.add(ring.queue, ring.poller::wake)));
            rings.forEach(ring -> ring.poller.start());
            if (note.isFound()) {
                loop.execute(() -> rings.forEach(ServedRing::wakeBothEnds));
            }
            return new VbdConnection(loop, pages, gate, note, rings);
        } catch (GrantException | EventChannelException | RuntimeException e) {
            ports.forEach(EventChannel::close);
            pages.close();
            throw e;
        }
    }

    private static BackRing resume(MemorySegment memory, BlkifLayout layout, QueueNote note) {
        int unanswered = note.settle();
        return BackRing.resume(memory, layout.entrySizeBytes(), note.rspProd(), unanswered);
    }

    /// Opens a window for all that may be mapped at once, or for less where the guest may not
    /// have so much: a request that finds no room is answered with an error then.
    ///
    /// @param least the rings, and eleven pages for each of their slots
    /// @param wanted that, large requests, and what stays mapped
    private static ForeignPages window(DriverDomain domain, DomId frontend, int least, int wanted)
            throws GrantException {
        int most = DomainLimits.DEFAULT.maxMappings();
        try {
            return domain.foreignPages(frontend, Math.min(wanted, most));
        } catch (GrantException e) {
            LOG.debug("frontend {}: {}", frontend, e.getMessage());
            return domain.foreignPages(frontend, Math.min(least, most));
        }
    }

    @Override
    public CompletableFuture<RingViews> rings(Executor executor) {
        return observer.look(executor);
    }

    /// Takes no further request, waits until those that were taken are answered, and gives
    /// everything back.
    ///
    /// @param control gives the pages back
    /// @param closed runs there when no disk operation is under way and nothing is mapped
    @Override
    public void close(Executor control, Runnable closed) {
        try {
            loop.execute(
                    () -> {
                        for (ServedRing ring : rings) {
                            ring.poller.stop();
                            // Without a bound, and rightly: as long as the kernel works on the
                            // pages, they must stay.
                            ring.queue.whenIdle(() -> ended(ring, control, closed));
                        }
                    });
        } catch (RejectedExecutionException e) {
            // A mistake of the program: pages that a worker may be using cannot be given back.
            LOG.error("frontend {}: the loop ended before the device", pages.frontend(), e);
            control.execute(closed);
        }
    }

    private void ended(ServedRing ring, Executor control, Runnable closed) {
        ring.port.close(); // after the last answer, which may notify
        ring.queue.unmapPersistent();
        gate.remove(ring.queue);
        busy--;
        if (busy == 0) {
            control.execute(() -> giveBack(closed));
        }
    }

    private void giveBack(Runnable closed) {
        try {
            rings.forEach(ring -> pages.unmapContiguous(ring.pages));
            int left = pages.mappedCount();
            if (left != 0) {
                LOG.error("frontend {}: {} mappings left at close", pages.frontend(), left);
            }
            pages.close();
            note.memory().forget();
        } finally {
            closed.run();
        }
    }
}
