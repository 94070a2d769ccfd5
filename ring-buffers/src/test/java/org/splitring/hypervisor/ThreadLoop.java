package org.splitring.hypervisor;

import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// A loop with a thread of its own, for tests with real concurrency.
public final class ThreadLoop implements DeviceLoop, AutoCloseable {
    private volatile @Nullable Thread thread;
    private final ScheduledThreadPoolExecutor executor;

    public ThreadLoop(String name) {
        executor =
                new ScheduledThreadPoolExecutor(
                        1,
                        task -> {
                            Thread t = new Thread(task, name);
                            t.setDaemon(true);
                            thread = t;
                            return t;
                        });
        executor.setRemoveOnCancelPolicy(true);
    }

    @Override
    public void execute(Runnable task) {
        executor.execute(task);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        var future = executor.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
        return () -> future.cancel(false);
    }

    @Override
    public boolean inLoop() {
        return Thread.currentThread().equals(thread);
    }

    @Override
    public long nanoTime() {
        return System.nanoTime();
    }

    @Override
    public long spinNanos() {
        return 0;
    }

    @Override
    public void close() {
        executor.shutdownNow();
    }
}
