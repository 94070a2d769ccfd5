package org.splitring.blkback;

import java.util.ArrayDeque;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;

/// A device loop that runs when the test says so, in the test's thread. Queueing a task allocates
/// nothing.
final class PumpedLoop implements DeviceLoop {
    private final ArrayDeque<Runnable> tasks = new ArrayDeque<>(1024);
    private @Nullable Thread runner;

    /// As where a processor is free, when it is not 0.
    volatile long spinNanos;

    @Override
    public synchronized void execute(Runnable task) {
        tasks.add(task);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        execute(task); // at once: nobody here depends on the delay
        return () -> {};
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
        return tasks.poll();
    }

    /// Runs what is queued, and what that queues. Where nothing is, lets other threads run, which
    /// on a busy machine are those that it waits for.
    void pump() {
        runner = Thread.currentThread();
        Runnable task = next();
        if (task == null) {
            LockSupport.parkNanos(20_000);
        }
        for (; task != null; task = next()) {
            task.run();
        }
    }

    /// Runs tasks until `done`, at most 20 seconds.
    void pumpUntil(BooleanSupplier done) {
        long end = System.nanoTime() + 20_000_000_000L;
        while (true) {
            pump();
            if (done.getAsBoolean()) {
                return;
            }
            if (System.nanoTime() > end) {
                throw new AssertionError("did not come about within 20 seconds");
            }
        }
    }
}
