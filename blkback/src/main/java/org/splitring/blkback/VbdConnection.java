package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
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

/// What exists only while a frontend is connected: ring, port, mappings. Made and ended on the
/// control plane; a new connection is a new object, so that nothing of an old one can be met.
final class VbdConnection implements BackendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VbdConnection.class);

    private final DeviceLoop loop;
    private final ForeignPages pages;
    private final EventChannel port;
    private final MemorySegment ringPages;
    private final DiskQueue queue;
    private final PortPoller poller;

    private VbdConnection(
            DeviceLoop loop,
            ForeignPages pages,
            EventChannel port,
            MemorySegment ringPages,
            DiskQueue queue,
            PortPoller poller) {
        this.loop = loop;
        this.pages = pages;
        this.port = port;
        this.ringPages = ringPages;
        this.queue = queue;
        this.poller = poller;
    }

    /// Maps the ring, binds the port and starts to serve.
    ///
    /// @param onBroken is told once, on the loop, why serving has stopped by itself
    static VbdConnection open(
            DriverDomain domain,
            DomId frontend,
            RingKeys keys,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            VbdCounters counters,
            VbdFeatures features,
            Consumer<Throwable> onBroken)
            throws GrantException, EventChannelException {
        int ringPageCount = keys.grefs().size();
        BlkifLayout layout = BlkifLayout.ofProtocol(keys.protocol()).orElseThrow();
        int entries = ringPageCount * 4096 / layout.entrySizeBytes(); // rounded down below
        int maxMappings =
                ringPageCount
                        + Integer.highestOneBit(entries) * BlkifLayout.MAX_SEGMENTS_PER_REQUEST
                        + DiskQueue.LARGE_REQUESTS * features.maxIndirectSegments();
        ForeignPages pages = domain.foreignPages(frontend, maxMappings);
        EventChannel port = null;
        try {
            MemorySegment ringPages = pages.mapContiguous(keys.grefArray());
            BackRing ring = BackRing.init(ringPages, layout.entrySizeBytes());
            port = domain.eventChannels().bindInterdomain(frontend, keys.eventChannel());
            DiskQueue queue =
                    new DiskQueue(
                            ring,
                            layout,
                            pages,
                            port,
                            disk,
                            options.workers(),
                            loop,
                            counters,
                            features);
            PortPoller poller = new PortPoller(port, loop, queue, options.budget(), onBroken);
            VbdConnection connection =
                    new VbdConnection(loop, pages, port, ringPages, queue, poller);
            poller.start();
            return connection;
        } catch (GrantException | EventChannelException | RuntimeException e) {
            if (port != null) {
                port.close();
            }
            pages.close();
            throw e;
        }
    }

    /// Takes no further request, waits until those that were taken are answered, and gives
    /// everything back.
    ///
    /// @param control gives the pages back
    /// @param closed runs there when no disk operation is under way and nothing is mapped
    @Override
    public void close(Executor control, Runnable closed) {
        // Without a bound, and rightly: as long as the kernel works on the pages, they must stay.
        Runnable whenIdle =
                () -> {
                    port.close(); // after the last answer, which may notify
                    control.execute(() -> giveBack(closed));
                };
        try {
            loop.execute(
                    () -> {
                        poller.stop();
                        queue.whenIdle(whenIdle);
                    });
        } catch (RejectedExecutionException e) {
            // A mistake of the program: pages that a worker may be using cannot be given back.
            LOG.error("frontend {}: the loop ended before the device", pages.frontend(), e);
            control.execute(closed);
        }
    }

    private void giveBack(Runnable closed) {
        try {
            pages.unmapContiguous(ringPages);
            int left = pages.mappedCount();
            if (left != 0) {
                LOG.error("frontend {}: {} mappings left at close", pages.frontend(), left);
            }
            pages.close();
        } finally {
            closed.run();
        }
    }
}
