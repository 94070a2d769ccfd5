package org.splitring.benchmarks.stress;

import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.netfront.TxFrame;

/// Numbered frames from one guest to another: the sending half on the sender's loop, the
/// receiving half on the receiver's.
final class FrameStream implements LoopPacer.Stream {
    private static final int BATCH = 64;
    private static final long LOST_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

    /// Choices that all streams of a load share.
    ///
    /// @param window frames under way at most in a closed loop; 0 for as many as there is room
    ///     for
    record Settings(int sizeBytes, int window, boolean verify) {}

    private final int number;
    private final NetGuest sender;
    private final NetGuest receiver;
    private final int queue;
    private final Settings settings;
    private final LoopPacer pacer; // of the sender's loop
    private final @Nullable Arrivals arrivals;
    private final Runnable onRoom = this::pump;

    // The sender's.
    private final StressFrame frame;
    private boolean asking;
    private int sendingEpoch;
    private long sent;
    private long writtenOff; // frames of which nobody waits for an answer any more
    private long unsent;
    private boolean blocked; // until there is room in the ring
    private long waitingSince;
    private volatile boolean waiting; // for the window; the receiver looks at it

    // The receiver's.
    private final KindLog log;
    private SequenceWindow window = new SequenceWindow();
    private RunEnd end = new RunEnd();
    private int epoch;
    private boolean news;
    private volatile long seen; // the number after the highest that has come
    private volatile long received;

    /// @param number which of all streams
    /// @param log of the receiver's loop
    FrameStream(
            int number,
            NetGuest sender,
            NetGuest receiver,
            int queue,
            Settings settings,
            LoopPacer pacer,
            KindLog log,
            @Nullable Arrivals arrivals) {
        this.number = number;
        this.sender = sender;
        this.receiver = receiver;
        this.queue = queue;
        this.settings = settings;
        this.pacer = pacer;
        this.log = log;
        this.arrivals = arrivals;
        frame = new StressFrame(settings.sizeBytes());
        frame.address(sender.number(), receiver.number(), settings.sizeBytes());
    }

    NetGuest sender() {
        return sender;
    }

    NetGuest receiver() {
        return receiver;
    }

    int queue() {
        return queue;
    }

    /// Forgets what has come. On the receiver's loop, before [#start].
    void expect(int newEpoch, RunEnd newEnd) {
        epoch = newEpoch;
        end = newEnd;
        window = new SequenceWindow();
        news = false;
        seen = 0;
        received = 0;
    }

    /// Begins to send. On the sender's loop.
    void start(int newEpoch, long nanoTime) {
        sendingEpoch = newEpoch;
        sent = 0;
        writtenOff = 0;
        unsent = 0;
        waiting = false;
        blocked = false;
        asking = true;
        if (arrivals != null) {
            arrivals.begin(nanoTime);
            pacer.wakeAt(arrivals.next());
        } else {
            pump();
        }
    }

    /// Sends nothing more. On the sender's loop.
    ///
    /// @return how many were sent
    long stop() {
        if (asking && arrivals != null) {
            unsent = arrivals.countDue(System.nanoTime());
        }
        asking = false;
        waiting = false;
        return sent;
    }

    long unsent() {
        return unsent;
    }

    @Override
    public void pump() {
        long now = System.nanoTime();
        int n = 0;
        blocked = false;
        while (asking && n < BATCH && isDue(now) && send(now)) {
            n++;
        }
        if (n > 0) {
            sender.vif().flush();
        }
        if (n == BATCH) {
            pacer.loop().execute(onRoom); // what has come has its turn before
        } else if (arrivals != null) {
            long next = nextDue();
            if (next != Long.MAX_VALUE) {
                pacer.wakeAt(next);
            }
        }
    }

    private boolean isDue(long now) {
        Arrivals times = arrivals;
        if (times != null) {
            return times.next() - now <= 0;
        }
        if (settings.window() == 0 || hasRoom()) {
            return true;
        }
        if (!waiting) {
            waitingSince = now;
            waiting = true; // before the second look, so that one of us sees the other
            if (!hasRoom()) {
                pacer.wakeAt(now + LOST_NANOS);
                return false;
            }
        } else if (now - waitingSince < LOST_NANOS) {
            return false;
        } else {
            writtenOff = sent; // nothing has come for so long: what is under way is lost
        }
        waiting = false;
        return true;
    }

    private boolean hasRoom() {
        return sent - Math.max(seen, writtenOff) < settings.window();
    }

    private boolean send(long now) {
        TxFrame free = sender.vif().acquire(queue, settings.sizeBytes());
        if (free == null) {
            blocked = true; // NetGuest.writable comes when there is one
            return false;
        }
        long intended = now;
        if (arrivals != null) {
            intended = arrivals.next();
            arrivals.advance();
        }
        frame.number(sendingEpoch, number, sent, intended, now, settings.verify());
        free.append(frame.bytes(), 0, settings.sizeBytes());
        free.send();
        sent++;
        return true;
    }

    @Override
    public long nextDue() {
        if (!asking || blocked) {
            return Long.MAX_VALUE;
        }
        if (arrivals != null) {
            return arrivals.next();
        }
        return waiting ? waitingSince + LOST_NANOS : Long.MAX_VALUE;
    }

    /// One of our frames has come. On the receiver's loop.
    void received(StressFrame came, long now) {
        if (came.epoch() != epoch) {
            return; // of an earlier run
        }
        if (came.sizeBytes() != settings.sizeBytes()) {
            fail(
                    came,
                    "has %d bytes instead of %d".formatted(came.sizeBytes(), settings.sizeBytes()));
        } else if (settings.verify() && !came.isIntact()) {
            fail(came, came.describe());
        } else if (window.take(came.number())) {
            log.record(came.intended(), came.sent(), now);
        } else {
            fail(came, "has come twice");
        }
        news = true;
    }

    private void fail(StressFrame came, String what) {
        end.fail(
                "guest %d: frame %d from guest %d %s"
                        .formatted(receiver.number(), came.number(), sender.number(), what));
    }

    /// No more frames for now. On the receiver's loop.
    void batchEnd() {
        if (!news) {
            return;
        }
        news = false;
        received = window.distinct();
        seen = window.next();
        if (waiting) {
            pacer.loop().execute(onRoom);
        }
    }

    /// Different frames that have come. Any thread.
    long received() {
        return received;
    }

    /// After the load has stopped.
    SequenceWindow window() {
        return window;
    }
}
