package org.splitring.blkback;

import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Threads that wait for storage so that no device loop has to. Shared by the disks of a driver
/// domain, each of which has a [Share]: while several have work that waits, each gets bytes in
/// proportion to its weight, in turns (deficit round robin).
///
/// Giving work allocates nothing: what waits stands in an array that grows to the most there ever
/// was, and a monitor, unlike the locks and queues of the library, needs no node for a waiter. It
/// is bounded by the rings of those disks, since a request stays in its ring until it is answered.
public final class DiskWorkers implements WorkShares, AutoCloseable {
    /// What a piece of work counts that says no size, or a smaller one, in bytes.
    static final long LEAST_COST = 16 << 10;

    /// What a share of weight 1 gets in each turn. A weight of 100 gets 1 MiB.
    private static final long TURN_BYTES = (1 << 20) / DEFAULT_WEIGHT;

    private static final Logger LOG = LoggerFactory.getLogger(DiskWorkers.class);
    private static final long KEEP_ALIVE_MILLIS = TimeUnit.SECONDS.toMillis(10);

    private final int maxThreads;
    private final Object lock = new Object();

    // Guarded by lock.
    private final ArrayDeque<Share> turns = new ArrayDeque<>(); // of those that have work
    private int waiting;
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

    @Override
    public WorkShare share(int weight) {
        return new Share(weight);
    }

    /// What one disk gets of the threads.
    private final class Share implements WorkShare {
        // Guarded by lock.
        private final ArrayDeque<Runnable> queue = new ArrayDeque<>(64);
        private int weight;
        private long credit;

        Share(int weight) {
            this.weight = check(weight);
        }

        @Override
        public void weigh(int newWeight) {
            synchronized (lock) {
                weight = check(newWeight);
            }
        }

        @Override
        public void execute(Runnable work) {
            synchronized (lock) {
                if (closed) {
                    throw new RejectedExecutionException("the disk workers have ended");
                }
                if (queue.isEmpty()) {
                    credit = 0; // nothing is saved up while there is nothing to do
                    turns.add(this);
                }
                queue.add(work);
                waiting++;
                if (waiting <= idle) {
                    lock.notify();
                } else if (threads.size() < maxThreads) {
                    startThread();
                }
            }
        }
    }

    private static int check(int weight) {
        if (weight < 1 || weight > MAX_WEIGHT) {
            throw new IllegalArgumentException("weight not in 1.." + MAX_WEIGHT + ": " + weight);
        }
        return weight;
    }

    private void startThread() {
        Thread thread =
                Thread.ofPlatform().daemon().name("disk-" + ++started).unstarted(this::runWork);
        threads.add(thread);
        thread.start();
    }

    /// The work whose turn it is. There is some.
    private Runnable take() {
        while (true) {
            Share share = turns.getFirst();
            Runnable work = share.queue.getFirst();
            long cost = LEAST_COST;
            if (work instanceof DiskWork sized) {
                cost = Math.max(cost, sized.costBytes());
            }
            if (share.credit >= cost || turns.size() == 1) {
                share.credit = Math.max(0, share.credit - cost); // alone, it needs none
                share.queue.removeFirst();
                waiting--;
                if (share.queue.isEmpty()) {
                    turns.removeFirst();
                }
                return work;
            }
            share.credit += share.weight * TURN_BYTES;
            turns.removeFirst();
            turns.addLast(share);
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
            while (waiting == 0) {
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
            return take();
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
