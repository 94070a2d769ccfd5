package org.splitring.blkback;

import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// Threads that wait for storage so that no device loop has to. Shared by the disks of a driver
/// domain; what is queued is bounded by the rings of those disks, since a request stays in its ring
/// until it is answered.
public final class DiskWorkers implements Executor, AutoCloseable {
    private final ExecutorService executor;

    /// @param threads how many requests may wait for storage at the same time
    public DiskWorkers(int threads) {
        AtomicInteger number = new AtomicInteger();
        ThreadPoolExecutor pool =
                new ThreadPoolExecutor(
                        threads,
                        threads,
                        10,
                        TimeUnit.SECONDS,
                        new LinkedBlockingQueue<>(),
                        work ->
                                Thread.ofPlatform()
                                        .daemon()
                                        .name("disk-" + number.incrementAndGet())
                                        .unstarted(work));
        pool.allowCoreThreadTimeOut(true);
        executor = pool;
    }

    @Override
    public void execute(Runnable work) {
        executor.execute(work);
    }

    /// Waits for what was started. The devices are closed before.
    @Override
    public void close() {
        executor.close();
    }
}
