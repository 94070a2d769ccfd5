package org.splitring.hypervisor.attached;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.SingleThreadIoEventLoop;
import java.util.ArrayDeque;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A Netty event loop on which a task can ask to run again **after** the next look at the
/// descriptors.
///
/// Netty runs its queue of tasks until it is empty or a second is over before it waits for
/// descriptors again. A ring that always has work and queues itself again would keep every other
/// guest of the loop waiting for that long; here it gets one turn per round like everybody.
///
/// Rounds that take next to nothing, of rings that look on for work, share a look at the
/// descriptors: that is a call of the kernel, and costs more than they do.
///
/// A loop on which nothing is to happen sleeps. Netty's has a look each second then, which is
/// little for one loop, and much for those of a hundred idle guests.
final class FairIoEventLoop extends SingleThreadIoEventLoop {
    /// For how long there are rounds after one look.
    private static final long LOOK_NANOS = 2_000;

    /// For how long a loop sleeps that waits for no time.
    private static final long SLEEP_NANOS = TimeUnit.HOURS.toNanos(1);

    private static final Logger LOG = LoggerFactory.getLogger(FairIoEventLoop.class);

    /// Tasks for the next round. The loop's own thread only.
    private final ArrayDeque<Runnable> nextRound = new ArrayDeque<>(64);

    FairIoEventLoop(IoEventLoopGroup parent, Executor executor, IoHandlerFactory factory) {
        super(parent, executor, factory);
    }

    /// Runs `task` in the next round. On the loop only.
    void executeNextRound(Runnable task) {
        nextRound.addLast(task);
    }

    /// What says whether the loop may sleep.
    @Override
    protected boolean hasTasks() {
        return super.hasTasks() || !nextRound.isEmpty();
    }

    // Of the next two Netty's handler asks for the first to compare, and for the second to sleep.

    @Override
    protected long deadlineNanos() {
        long deadline = super.deadlineNanos();
        return isTimeAwaited() ? deadline : deadline + SLEEP_NANOS;
    }

    @Override
    protected long delayNanos(long now) {
        return isTimeAwaited() ? super.delayNanos(now) : SLEEP_NANOS;
    }

    private boolean isTimeAwaited() {
        return nextScheduledTaskNano() >= 0;
    }

    @Override
    protected int runIo() {
        int handled = super.runIo();
        if (!nextRound.isEmpty()) {
            long begin = System.nanoTime();
            do {
                runRound();
            } while (!nextRound.isEmpty()
                    && !super.hasTasks()
                    && System.nanoTime() - begin < LOOK_NANOS);
        }
        return handled;
    }

    private void runRound() {
        for (int count = nextRound.size(); count > 0; count--) {
            Runnable task = nextRound.removeFirst();
            try {
                task.run();
            } catch (Throwable t) { // whatever it is, the other devices of this loop go on
                LOG.error("a task of a device failed", t);
            }
        }
    }
}
