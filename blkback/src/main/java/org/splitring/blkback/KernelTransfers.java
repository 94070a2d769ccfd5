package org.splitring.blkback;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.RateLimitedLog;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.IoUring;
import org.splitring.hypervisor.linux.LinuxException;

/// Leaves transfers that wait for storage to the kernel, up to [#DEPTH] of all disks at the same
/// time: one thread submits and collects them (`io_uring`). Where threads would each wait for one
/// transfer, the storage sees as many as it can do side by side.
///
/// What is not submitted yet waits in [FairTurns], so that weights count here as among threads.
/// Giving work allocates nothing.
final class KernelTransfers implements AutoCloseable {
    /// How many transfers are under way at most: enough for a device of several queues, and few
    /// enough that the weights of disks decide what comes next.
    static final int DEPTH = 64;

    private static final Logger LOG = LoggerFactory.getLogger(KernelTransfers.class);
    private static final long SIGNAL = Long.MAX_VALUE;
    private static final long RETRY_NANOS = 1_000_000;

    private final Executor threads;
    private final EventFd signals;
    private final RateLimitedLog troubles = new RateLimitedLog(LOG);
    private final Object lock = new Object();
    private final Thread thread;
    private final CountDownLatch decided = new CountDownLatch(1);

    // Guarded by lock.
    private final FairTurns<DiskTransfer> turns = new FairTurns<>();
    private boolean asleep;
    private boolean open;
    private boolean closing;

    // Of the thread.
    private final @Nullable DiskTransfer[] underWay = new DiskTransfer[DEPTH];
    private final int[] freeTokens = new int[DEPTH];
    private int freeCount = DEPTH;
    private final DiskTransfer[] taken = new DiskTransfer[DEPTH];

    /// @param threads do what the kernel turns out not to do alone
    /// @throws LinuxException when there are no descriptors left
    KernelTransfers(Executor threads) throws LinuxException {
        this.threads = threads;
        this.signals = EventFd.create();
        for (int i = 0; i < DEPTH; i++) {
            freeTokens[i] = i;
        }
        this.thread = Thread.ofPlatform().daemon().name("disk-io_uring").start(this::work);
    }

    /// What waits of one disk.
    FairTurns<DiskTransfer>.Line line(int weight) {
        return turns.new Line(weight);
    }

    void weigh(FairTurns<DiskTransfer>.Line line, int weight) {
        synchronized (lock) {
            line.weigh(weight);
        }
    }

    /// Gives a transfer away.
    ///
    /// @return `false` when there is no `io_uring`, not yet, or not any more
    boolean give(FairTurns<DiskTransfer>.Line line, DiskTransfer transfer) {
        boolean wake;
        synchronized (lock) {
            if (!open) {
                return false;
            }
            line.add(transfer);
            wake = asleep;
            asleep = false;
        }
        if (wake) {
            signals.signal();
        }
        return true;
    }

    /// Waits until it is known whether the kernel lets us.
    ///
    /// @return whether it does
    boolean awaitOpen() throws InterruptedException {
        decided.await();
        synchronized (lock) {
            return open;
        }
    }

    Thread thread() {
        return thread;
    }

    private void work() {
        try (IoUring ring = IoUring.open(2 * DEPTH)) {
            synchronized (lock) {
                open = !closing;
            }
            decided.countDown();
            ring.watch(signals, SIGNAL);
            IoUring.Completions completions = (token, result) -> completed(ring, token, result);
            while (true) {
                int count = takeTurns();
                if (count < 0) {
                    return;
                }
                for (int i = 0; i < count; i++) {
                    submit(ring, taken[i]);
                }
                enter(ring);
                ring.drain(completions);
            }
        } catch (LinuxException e) {
            LOG.info("no io_uring, threads wait for storage: {}", e.getMessage());
        } finally {
            synchronized (lock) {
                open = false;
            }
            decided.countDown();
        }
    }

    /// @return how many are in [#taken] now, or -1 when all is done and nothing more will come
    private int takeTurns() {
        synchronized (lock) {
            if (closing && turns.size() == 0 && freeCount == DEPTH) {
                open = false;
                return -1;
            }
            int count = Math.min(turns.size(), freeCount);
            for (int i = 0; i < count; i++) {
                taken[i] = turns.take();
            }
            asleep = count < freeCount; // else a completion makes room, and wakes us
            return count;
        }
    }

    private void submit(IoUring ring, DiskTransfer transfer) {
        int token = freeTokens[--freeCount];
        underWay[token] = transfer;
        transfer.submit(ring, token);
    }

    /// Submits and waits. When the kernel is short of something it says so, and takes the rest
    /// later: what is under way cannot be taken back.
    private void enter(IoUring ring) {
        try {
            ring.submit(true);
        } catch (LinuxException e) {
            troubles.warn("io_uring", e.getMessage() + "; trying again");
            LockSupport.parkNanos(RETRY_NANOS);
        }
    }

    private void completed(IoUring ring, long token, int result) {
        if (token == SIGNAL) {
            return; // takeTurns sees why
        }
        DiskTransfer transfer = underWay[(int) token];
        if (transfer == null) {
            throw new IllegalStateException("nothing is under way as " + token);
        }
        switch (transfer.completed(result)) {
            case SUBMIT -> transfer.submit(ring, token);
            case RUN -> {
                release((int) token);
                threads.execute(transfer);
            }
            case NONE -> release((int) token);
        }
    }

    private void release(int token) {
        underWay[token] = null;
        freeTokens[freeCount++] = token;
    }

    /// Waits for what was given.
    @Override
    public void close() {
        synchronized (lock) {
            closing = true;
        }
        signals.signal();
        DiskWorkers.join(thread);
        signals.close();
    }
}
