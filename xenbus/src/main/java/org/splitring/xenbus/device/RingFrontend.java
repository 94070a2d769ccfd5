package org.splitring.xenbus.device;

import io.micrometer.core.instrument.Counter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.ring.SringLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// The frontend of a device with one ring of requests, whole: its driver adds what a request looks
/// like and what its answer means.
///
/// Requests that wait for room, for a connection, or for their answer are held here. When the
/// backend is replaced those that were on the old ring go onto the new one, in their order and
/// before all others; when the device ends they fail. Each is answered or fails exactly once,
/// whatever the backend does.
///
/// @param <T> a request as the device knows it
public final class RingFrontend<T> implements FrontendHooks {
    private final FrontendContext context;
    private final RingShape shape;
    private final RingAnswers<T> answers;
    private final int maxWaiting;
    private final int dataPageCount;
    private final MemorySegment responseCopy;
    private final MemorySegment requestCopy;
    private final Counter requests;

    // Of the control plane, one task at a time.
    private @Nullable GuestDomain guest;
    private volatile @Nullable DataPages data;

    // Of the loop.
    private final ArrayDeque<T> waiting = new ArrayDeque<>();
    private @Nullable FrontendRing<T> ring;
    private boolean held; // nothing goes onto the ring
    private boolean refusing; // nothing new is taken
    private @Nullable Runnable whenQuiet;
    private @Nullable String ended;

    /// @param maxWaiting how many requests are held while there is no room for them on the ring
    /// @param dataPages pages of guest memory for the requests, granted to the backend: see [#page]
    public RingFrontend(
            FrontendContext context,
            RingShape shape,
            RingAnswers<T> answers,
            int maxWaiting,
            int dataPages) {
        this.context = context;
        this.shape = shape;
        this.answers = answers;
        this.maxWaiting = maxWaiting;
        this.dataPageCount = dataPages;
        Arena arena = Arena.ofAuto();
        responseCopy = arena.allocate(shape.entryBytes(), 8);
        requestCopy = arena.allocate(shape.entryBytes(), 8);
        requests = context.meters().counter("requests");
    }

    /// Sends a request, or holds it until it can be sent. On the loop.
    ///
    /// @return `false` when too many are waiting already: nothing will be heard of it then
    public boolean submit(T request) {
        String reason = ended;
        if (reason != null || refusing) {
            answers.failed(request, reason == null ? "the device is closing" : reason);
            return true;
        }
        if (waiting.size() >= maxWaiting) {
            return false;
        }
        waiting.add(request);
        send();
        return true;
    }

    /// A data page: the backend reads and writes it too, whenever it likes. What is in it stays
    /// when the backend is replaced. From the first connection on; on the loop.
    public MemorySegment page(int index) {
        return pages().page(index);
    }

    /// Reference of a data page, for this connection: asked for in [RingAnswers#write].
    public int gref(int index) {
        return pages().gref(index);
    }

    private DataPages pages() {
        DataPages now = data;
        if (now == null) {
            throw new IllegalStateException(
                    "no data pages before the first connection and after the end");
        }
        return now;
    }

    /// Requests that are on the ring or wait. On the loop.
    public int outstanding() {
        return waiting.size() + onRing();
    }

    @Override
    public Connection prepare(
            GuestDomain attached, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException {
        int offered = (int) backend.number("max-ring-page-order", 0, SringLayout.MAX_PAGE_ORDER, 0);
        int order = Math.min(shape.maxPageOrder(), offered);
        guest = attached;
        DataPages pages = data;
        if (pages == null) {
            pages = DataPages.of(attached, dataPageCount);
            data = pages;
        }
        pages.grant(attached, paths.backendDomain());
        boolean made = false;
        try {
            FrontendRing<T> fresh =
                    FrontendRing.make(
                            attached,
                            paths.backendDomain(),
                            order,
                            shape,
                            context.loop(),
                            this,
                            broken);
            made = true;
            return new RingConnection<>(this, attached, pages, fresh);
        } finally {
            if (!made) {
                pages.revoke(attached);
            }
        }
    }

    private static final class RingConnection<T> implements Connection {
        private final RingFrontend<T> device;
        private final GuestDomain guest;
        private final DataPages data;
        private final FrontendRing<T> ring;

        RingConnection(
                RingFrontend<T> device, GuestDomain guest, DataPages data, FrontendRing<T> ring) {
            this.device = device;
            this.guest = guest;
            this.data = data;
            this.ring = ring;
        }

        @Override
        public void publish(StoreAccess keys, String folder) throws StoreException {
            ring.keys().write(keys, folder);
        }

        @Override
        public void connected(Keys backend) throws StoreException, HandshakeException {
            device.answers.properties(backend);
            device.onLoop(() -> device.begin(ring), () -> {});
        }

        @Override
        public void changed(Keys backend) throws StoreException, HandshakeException {
            device.answers.properties(backend);
        }

        @Override
        public void pause(Executor executor, Runnable quiet) {
            Runnable then = () -> executor.execute(quiet);
            device.onLoop(() -> device.whenQuiet(true, then), then);
        }

        @Override
        public void drain(Executor executor, Runnable quiet) {
            Runnable then = () -> executor.execute(quiet);
            device.onLoop(() -> device.whenQuiet(false, then), then);
        }

        @Override
        public void close(Executor executor, Runnable closed) {
            Runnable giveBack =
                    () -> {
                        ring.giveBack();
                        data.revoke(guest);
                        closed.run();
                    };
            device.onLoop(
                    () -> {
                        device.end(ring);
                        executor.execute(giveBack);
                    },
                    () -> executor.execute(giveBack));
        }
    }

    @Override
    public void ended(String reason) {
        onLoop(() -> fail(reason), () -> {});
        DataPages pages = data;
        GuestDomain last = guest;
        data = null;
        if (pages != null && last != null) {
            pages.free(last); // the last connection is closed: no request uses them
        }
    }

    private void onLoop(Runnable task, Runnable whenLoopHasEnded) {
        try {
            context.loop().execute(task);
        } catch (RejectedExecutionException e) {
            whenLoopHasEnded.run();
        }
    }

    // On the loop.

    private void begin(FrontendRing<T> fresh) {
        ring = fresh;
        held = false;
        fresh.start();
        send();
    }

    private void whenQuiet(boolean leavingTheRingOnly, Runnable then) {
        held |= leavingTheRingOnly;
        refusing |= !leavingTheRingOnly;
        whenQuiet = then;
        quiet();
    }

    private void quiet() {
        Runnable then = whenQuiet;
        if (then != null && onRing() == 0 && (held || waiting.isEmpty() || ring == null)) {
            whenQuiet = null;
            then.run();
        }
    }

    private int onRing() {
        FrontendRing<T> now = ring;
        return now == null ? 0 : now.outstanding();
    }

    /// The ring is used no longer: what was on it is put before what waits, in its order.
    private void end(FrontendRing<T> old) {
        old.stop();
        if (ring == old) {
            ring = null;
        }
        old.takeBack(waiting);
        quiet();
    }

    private void fail(String reason) {
        ended = reason;
        while (!waiting.isEmpty()) {
            answers.failed(waiting.remove(), reason);
        }
    }

    private void send() {
        FrontendRing<T> now = ring;
        if (now == null || held) {
            return;
        }
        int sent = 0;
        while (!now.isFull() && !waiting.isEmpty()) {
            T request = waiting.remove();
            int id = now.register(request);
            requestCopy.fill((byte) 0);
            answers.write(request, id, requestCopy);
            now.put(requestCopy);
            sent++;
        }
        if (sent > 0) {
            requests.increment(sent);
            now.push();
        }
    }

    /// Takes the answers that have come.
    int takeResponses(FrontendRing<T> from, int budget) {
        int taken = 0;
        while (taken < budget && from == ring && from.copyResponse(responseCopy)) {
            T request = from.answered(answers.id(responseCopy));
            answers.answered(request, responseCopy);
            taken++;
        }
        if (taken > 0) {
            send();
            quiet();
        }
        return taken;
    }
}
