package org.splitring.xenbus.device;

import io.micrometer.core.instrument.Counter;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.ring.RingBrokenException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.RingObserver;
import org.splitring.xenbus.RingViews;

/// A backend's end of one ring of requests, while a frontend is connected: it maps the ring, binds
/// the port, takes requests with a budget, gives each to the handler, and answers each exactly
/// once.
///
/// There are never more requests in flight than the ring has slots, so everything is made here and
/// nothing is allocated later. On the loop, except where a method says otherwise.
public final class BackendRing implements RingWork, BackendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(BackendRing.class);

    private final DomId frontend;
    private final DeviceLoop loop;
    private final ForeignPages pages;
    private final MemorySegment ringPages;
    private final BackRing ring;
    private final EventChannel port;
    private final RingShape shape;
    private final RequestHandler handler;
    private final PortPoller poller;
    private final RingObserver observer;
    private final Counter requests;
    private final GrantBatch oneGrant = new GrantBatch(1);
    private final RingRequest[] free;
    private int freeCount;

    private final AtomicReference<@Nullable RingRequest> answered = new AtomicReference<>();
    private final Runnable answerTask = this::publishAnswered;
    private boolean polling;
    private @Nullable Runnable whenIdle;

    private BackendRing(
            BackendContext context,
            ForeignPages pages,
            MemorySegment ringPages,
            EventChannel port,
            RingShape shape,
            RequestHandler handler,
            Consumer<String> broken) {
        this.frontend = context.paths().frontendDomain();
        this.loop = context.loop();
        this.pages = pages;
        this.ringPages = ringPages;
        this.port = port;
        this.shape = shape;
        this.handler = handler;
        ring = BackRing.init(ringPages, shape.entryBytes());
        requests = context.meters().counter("requests");
        poller = new PortPoller(port, loop, this, shape.budget(), cause -> broken(cause, broken));
        observer =
                new RingObserver(
                        loop, List.of(new RingObserver.Observed("queue-0", ring, port, poller)));
        free = new RingRequest[ring.entries()];
        for (int i = 0; i < free.length; i++) {
            free[i] = new RingRequest(this, pages, shape);
        }
        freeCount = free.length;
    }

    /// Maps the ring that the frontend has published and begins to serve it. On the control plane.
    ///
    /// @param keys checked already: what [RingKeys#read] gave
    /// @param broken is told on the loop why the ring is served no longer
    /// @throws GrantException when a page of the ring is refused
    /// @throws EventChannelException when the port is refused
    public static BackendRing open(
            BackendContext context,
            RingKeys keys,
            RingShape shape,
            RequestHandler handler,
            Consumer<String> broken)
            throws GrantException, EventChannelException {
        DomId frontend = context.paths().frontendDomain();
        int[] grefs = keys.grefArray();
        int mappings = grefs.length + shape.entries(grefs.length) * shape.grantsPerRequest();
        ForeignPages pages = context.domain().foreignPages(frontend, mappings);
        EventChannel port = null;
        boolean opened = false;
        try {
            MemorySegment ringPages = pages.mapContiguous(grefs);
            port = context.domain().eventChannels().bindInterdomain(frontend, keys.eventChannel());
            BackendRing ring =
                    new BackendRing(context, pages, ringPages, port, shape, handler, broken);
            ring.poller.start();
            opened = true;
            return ring;
        } finally {
            if (!opened) {
                if (port != null) {
                    port.close();
                }
                pages.close();
            }
        }
    }

    private void broken(Throwable cause, Consumer<String> broken) {
        if (!(cause instanceof RingBrokenException)) {
            LOG.error("frontend {}: the driver failed", frontend, cause);
        }
        broken.accept("ring: " + cause.getMessage());
    }

    @Override
    public int poll(int budget) {
        int taken = 0;
        polling = true;
        try {
            while (taken < budget) {
                int count = Math.min(ring.unconsumedRequests(), budget - taken);
                if (count == 0) {
                    break;
                }
                for (int i = 0; i < count; i++) {
                    take();
                }
                taken += count;
            }
        } finally {
            polling = false;
        }
        if (taken > 0) {
            requests.increment(taken);
            push();
        }
        return taken;
    }

    private void take() {
        RingRequest request = free[--freeCount];
        // Slot to private memory once; everything after this line looks at the copy.
        ring.copyRequest(request.bytes());
        request.begin();
        boolean taken = false;
        try {
            handler.take(request);
            taken = true;
        } finally {
            if (!taken && request.abandon()) {
                release(request); // a bug of the driver: the device closes, nothing stays mapped
            }
        }
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }

    /// Requests taken and not answered yet.
    public int inFlight() {
        return free.length - freeCount;
    }

    GrantBatch oneGrant() {
        return oneGrant;
    }

    /// A request is answered. Any thread.
    void answered(RingRequest request) {
        if (polling && loop.inLoop()) {
            respond(request);
            return;
        }
        RingRequest head;
        do {
            head = answered.get();
            request.next = head;
        } while (!answered.compareAndSet(head, request));
        if (head == null) { // otherwise whoever put the first one has called the loop
            try {
                loop.execute(answerTask);
            } catch (RejectedExecutionException e) {
                LOG.warn("frontend {}: the loop ended before its requests", frontend);
            }
        }
    }

    private void publishAnswered() {
        RingRequest newest = answered.getAndSet(null);
        RingRequest oldest = null; // turned round: what was answered first goes out first
        while (newest != null) {
            RingRequest before = newest.next;
            newest.next = oldest;
            oldest = newest;
            newest = before;
        }
        while (oldest != null) {
            RingRequest after = oldest.next;
            oldest.next = null;
            respond(oldest);
            oldest = after;
        }
        push();
        idle();
    }

    private void respond(RingRequest request) {
        request.unmap();
        int index = ring.takeResponseIndex();
        MemorySegment.copy(
                request.response(), 0, ringPages, ring.slotOffset(index), shape.responseBytes());
        release(request);
    }

    private void release(RingRequest request) {
        request.unmap();
        free[freeCount++] = request;
    }

    private void push() {
        if (ring.pushResponsesAndCheckNotify()) {
            port.send();
        }
    }

    private void idle() {
        Runnable task = whenIdle;
        if (task != null && inFlight() == 0) {
            whenIdle = null;
            task.run();
        }
    }

    @Override
    public CompletableFuture<RingViews> rings(Executor executor) {
        return observer.look(executor);
    }

    @Override
    public void close(Executor control, Runnable closed) {
        Runnable task =
                () -> {
                    port.close(); // after the last answer, which may notify
                    control.execute(() -> giveBack(closed));
                };
        try {
            loop.execute(
                    () -> {
                        poller.stop();
                        whenIdle = task;
                        idle();
                    });
        } catch (RejectedExecutionException e) {
            // A mistake of the program: pages that somebody may be using cannot be given back.
            LOG.error("frontend {}: the loop ended before the device", frontend, e);
            control.execute(closed);
        }
    }

    private void giveBack(Runnable closed) {
        try {
            pages.unmapContiguous(ringPages);
            int left = pages.mappedCount();
            if (left != 0) {
                LOG.error("frontend {}: {} mappings left at close", frontend, left);
            }
            pages.close();
        } finally {
            closed.run();
        }
    }

    @Override
    public String toString() {
        return "frontend " + frontend + ", " + ring;
    }
}
