package org.splitring.blkback;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DeviceLoop;

/// A device loop of one thread.
final class ThreadLoop implements DeviceLoop, AutoCloseable {
    private final LinkedBlockingQueue<Runnable> tasks = new LinkedBlockingQueue<>();
    private final ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1);
    private final Thread thread;
    private volatile boolean closed;

    ThreadLoop(String name) {
        thread = Thread.ofPlatform().daemon().name(name).start(this::loop);
    }

    private void loop() {
        while (!closed) {
            try {
                tasks.take().run();
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    @Override
    public void execute(Runnable task) {
        if (closed) {
            throw new RejectedExecutionException("closed");
        }
        tasks.add(task);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        var future = timer.schedule(() -> execute(task), delayNanos, TimeUnit.NANOSECONDS);
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

    /// Runs `task` on the loop and waits for it.
    void run(Runnable task) {
        CompletableFuture.runAsync(task, this).orTimeout(20, TimeUnit.SECONDS).join();
    }

    Thread thread() {
        return thread;
    }

    @Override
    public void close() {
        timer.shutdownNow();
        if (!closed) {
            tasks.add(() -> closed = true);
        }
        try {
            thread.join(10_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
