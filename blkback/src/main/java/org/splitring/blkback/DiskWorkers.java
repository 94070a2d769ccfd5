package org.splitring.blkback;

import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Threads that wait for storage so that no device loop has to. Shared by the disks of a driver
/// domain.
///
/// Giving work allocates nothing: what waits stands in an array that grows to the most there ever
/// was, and a monitor, unlike the locks and queues of the library, needs no node for a waiter. It
/// is bounded by the rings of those disks, since a request stays in its ring until it is answered.
public final class DiskWorkers implements Executor, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DiskWorkers.class);
    private static final long KEEP_ALIVE_MILLIS = TimeUnit.SECONDS.toMillis(10);

    private final int maxThreads;
    private final Object lock = new Object();

    // Guarded by lock.
    private final ArrayDeque<Runnable> queue = new ArrayDeque<>(256);
    private final Set<Thread> threads = new HashSet<>();
    private int idle;
    private int started;
    private boolean closed;

    /// @param threads how many requests may wait for storage at the same time
    public DiskWorkers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads " + threads);
        }
        maxThreads = threads;
    }

    /// Runs `work` on one of the threads. Any thread.
    ///
    /// @throws RejectedExecutionException after [#close]
    @Override
    public void execute(Runnable work) {
        synchronized (lock) {
            if (closed) {
                throw new RejectedExecutionException("the disk workers have ended");
            }
            queue.add(work);
            if (queue.size() <= idle) {
                lock.notify();
            } else if (threads.size() < maxThreads) {
                Thread thread =
                        Thread.ofPlatform()
                                .daemon()
                                .name("disk-" + ++started)
                                .unstarted(this::runWork);
                threads.add(thread);
                thread.start();
            }
        }
    }

    /// The threads of now; for tests of what they allocate.
    List<Thread> threads() {
        synchronized (lock) {
            return List.copyOf(threads);
        }
    }

    private void runWork() {
        for (Runnable work = next(); work != null; work = next()) {
            try {
                work.run();
            } catch (RuntimeException | Error e) { // the next request is not to blame
                LOG.error("disk work failed", e);
            }
        }
    }

    private @Nullable Runnable next() {
        synchronized (lock) {
            long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(KEEP_ALIVE_MILLIS);
            while (queue.isEmpty()) {
                if (closed || System.nanoTime() - end >= 0) {
                    threads.remove(Thread.currentThread());
                    return null;
                }
                idle++;
                try {
                    lock.wait(KEEP_ALIVE_MILLIS);
                } catch (InterruptedException e) {
                    LOG.debug("nobody interrupts a disk worker for a reason", e);
                } finally {
                    idle--;
                }
            }
            return queue.remove();
        }
    }

    /// Waits for what was given. The devices are closed before.
    @Override
    public void close() {
        List<Thread> last;
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
            last = List.copyOf(threads);
        }
        boolean interrupted = false;
        for (Thread thread : last) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true; // the disk is closed after this: there is no going on
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
