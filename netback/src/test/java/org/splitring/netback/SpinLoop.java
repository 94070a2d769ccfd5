package org.splitring.netback;

import java.util.ArrayDeque;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;

/// A device loop that runs when its owner says so, in the owner's thread. Queueing a task allocates
/// nothing; a delayed one runs when its time has come.
final class SpinLoop implements DeviceLoop {
    private record Timer(long at, Runnable task) {}

    private final ArrayDeque<Runnable> tasks = new ArrayDeque<>(4096); // guarded by this
    private final ArrayDeque<Timer> timers = new ArrayDeque<>(); // guarded by this
    private final long spinNanos;
    private volatile boolean queued;
    private @Nullable Thread runner;

    SpinLoop(long spinNanos) {
        this.spinNanos = spinNanos;
    }

    @Override
    public synchronized void execute(Runnable task) {
        tasks.add(task);
        queued = true;
    }

    @Override
    public synchronized Runnable schedule(Runnable task, long delayNanos) {
        Timer timer = new Timer(nanoTime() + delayNanos, task);
        timers.add(timer);
        return () -> cancel(timer);
    }

    private synchronized void cancel(Timer timer) {
        timers.remove(timer);
    }

    @Override
    public boolean inLoop() {
        return Thread.currentThread().equals(runner);
    }

    @Override
    public long nanoTime() {
        return System.nanoTime();
    }

    @Override
    public long spinNanos() {
        return spinNanos;
    }

    private synchronized @Nullable Runnable next() {
        Runnable task = tasks.poll();
        if (task == null) {
            queued = false;
        }
        return task;
    }

    private synchronized void queueDueTimers() {
        long now = nanoTime();
        for (int i = timers.size(); i > 0; i--) {
            Timer timer = timers.remove();
            if (timer.at() - now <= 0) {
                execute(timer.task());
            } else {
                timers.add(timer);
            }
        }
    }

    /// Runs what is queued now, not what that queues.
    void round() {
        runner = Thread.currentThread();
        if (!queued) {
            return;
        }
        int count;
        synchronized (this) {
            count = tasks.size();
        }
        for (; count > 0; count--) {
            Runnable task = next();
            if (task == null) {
                return;
            }
            task.run();
        }
    }

    /// Runs rounds until `done`, at most 20 seconds.
    void until(BooleanSupplier done) {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!done.getAsBoolean()) {
            queueDueTimers();
            round();
            if (System.nanoTime() > end) {
                throw new AssertionError("did not come about within 20 seconds");
            }
            if (!queued) {
                LockSupport.parkNanos(20_000);
            }
        }
    }
}
