package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.splitring.hypervisor.DomId;

/// A transport whose peer takes answers when the test says so, in the time of the test.
final class HeldTransport implements WireTransport {
    private record Timed(long atNanos, Runnable task) {}

    private final AtomicLong clock;
    private final Deque<Runnable> tasks = new ArrayDeque<>();
    private final PriorityQueue<Timed> timed =
            new PriorityQueue<>(Comparator.comparingLong(Timed::atNanos));
    private final WireSession session;
    final List<WireMessage> queued = new ArrayList<>();
    boolean wantsBytes = true;
    boolean reads = true;
    boolean ended;

    HeldTransport(StoreTree tree, DomId domain, AtomicLong clock) {
        this.clock = clock;
        this.session = new WireSession(tree, domain, this);
    }

    /// Sends one request, if the server wants it.
    ///
    /// @return whether it did
    boolean request(int type, int transactionId, String payload) {
        run();
        if (!wantsBytes) {
            return false;
        }
        ByteBuf message = WireTest.message(type, 1, transactionId, payload);
        session.receive(message);
        message.release();
        run();
        return true;
    }

    /// Runs what is due.
    void run() {
        while (!timed.isEmpty() && timed.element().atNanos() <= clock.get()) {
            tasks.add(timed.remove().task());
        }
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }

    /// The peer takes all there is.
    List<WireMessage> take() {
        List<WireMessage> taken = List.copyOf(queued);
        queued.clear();
        session.work();
        run();
        return taken;
    }

    void end() {
        session.end();
    }

    @Override
    public void send(WireMessage message) {
        queued.add(message);
    }

    @Override
    public int flush() {
        if (reads) {
            queued.clear();
        }
        return queued.size();
    }

    @Override
    public void wantBytes(boolean wanted) {
        wantsBytes = wanted;
    }

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
    }

    @Override
    public void schedule(Runnable task, long delayNanos) {
        timed.add(new Timed(clock.get() + delayNanos, task));
    }

    @Override
    public void end(Ending why, String detail) {
        ended = true;
    }
}
