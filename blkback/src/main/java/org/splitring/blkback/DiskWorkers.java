package org.splitring.blkback;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.linux.LinuxException;

/// What waits for storage so that no device loop has to. Shared by the disks of a driver domain,
/// each of which has a [WorkShare]: while several have work that waits, each gets bytes in
/// proportion to its weight, in turns ([FairTurns]).
///
/// Writes of a disk that says so are done one at a time. Transfers that the kernel can do alone are
/// left to it ([KernelTransfers]) where it lets us; all other work, and all work where it does not,
/// is done by threads.
///
/// Giving work allocates nothing: a monitor, unlike the locks and queues of the library, needs no
/// node for a waiter. What waits is bounded by the rings of those disks, since a request stays in
/// its ring until it is answered.
public final class DiskWorkers implements WorkShares, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DiskWorkers.class);
    private static final long KEEP_ALIVE_MILLIS = TimeUnit.SECONDS.toMillis(10);

    private final int maxThreads;
    private final ThreadFactory factory;
    private final long keepAliveMillis;
    private final Object lock = new Object();

    // Guarded by lock.
    private final FairTurns<Runnable> turns = new FairTurns<>();
    private final Set<Thread> threads = new HashSet<>();
    private int idle;
    private boolean saidTooFew;
    private boolean closed;

    private final @Nullable KernelTransfers kernel;

    /// @param threads how many requests may wait for storage at the same time
    public DiskWorkers(int threads) {
        this(threads, DiskEngine.IO_URING);
    }

    /// @param threads how many requests may wait for storage at the same time, beside those that
    ///     the kernel does alone
    /// @param engine what does plain transfers, as far as the machine has it
    public DiskWorkers(int threads, DiskEngine engine) {
        this(
                threads,
                engine,
                Thread.ofPlatform().daemon().name("disk-", 1).factory(),
                KEEP_ALIVE_MILLIS);
    }

    /// @param factory of threads; its threads may fail to start, as where the machine has no more
    /// @param keepAliveMillis for how long a thread without work waits for some
    DiskWorkers(int threads, DiskEngine engine, ThreadFactory factory, long keepAliveMillis) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads " + threads);
        }
        maxThreads = threads;
        this.factory = factory;
        this.keepAliveMillis = keepAliveMillis;
        kernel = engine == DiskEngine.IO_URING ? openKernel() : null;
    }

    private @Nullable KernelTransfers openKernel() {
        FairTurns<Runnable>.Line rest = turns.new Line(DEFAULT_WEIGHT);
        try {
            return new KernelTransfers(work -> giveBack(rest, work));
        } catch (LinuxException e) {
            LOG.warn("no io_uring, threads wait for storage: {}", e.getMessage());
            return null;
        }
    }

    /// Waits until it is known what does plain transfers; for tests.
    DiskEngine awaitEngine() throws InterruptedException {
        KernelTransfers transfers = kernel;
        return transfers != null && transfers.awaitOpen()
                ? DiskEngine.IO_URING
                : DiskEngine.THREADS;
    }

    @Override
    public WorkShare share(int weight) {
        return new Share(weight);
    }

    /// What one disk gets.
    private final class Share implements WorkShare {
        private final FairTurns<Runnable>.Line line;
        private final Alone alone;
        private final FairTurns<DiskTransfer>.@Nullable Line kernelLine;

        Share(int weight) {
            line = turns.new Line(check(weight));
            alone = new Alone(line);
            KernelTransfers transfers = kernel;
            kernelLine = transfers == null ? null : transfers.line(weight);
        }

        @Override
        public void weigh(int newWeight) {
            check(newWeight);
            synchronized (lock) {
                line.weigh(newWeight);
            }
            KernelTransfers transfers = kernel;
            if (transfers != null && kernelLine != null) {
                transfers.weigh(kernelLine, newWeight);
            }
        }

        @Override
        public void execute(Runnable work) {
            KernelTransfers transfers = kernel;
            boolean given =
                    transfers != null
                            && kernelLine != null
                            && work instanceof DiskTransfer transfer
                            && transfer.isPlain()
                            && transfers.give(kernelLine, transfer);
            if (given) {
                return;
            }
            if (work instanceof DiskTransfer transfer && transfer.isAlone()) {
                giveAlone(transfer);
            } else {
                giveToThread(line, work);
            }
        }

        private void giveAlone(DiskTransfer transfer) {
            synchronized (lock) {
                if (closed) {
                    throw ended();
                }
                if (alone.queue.isEmpty() && !alone.running) {
                    giveToThread(line, alone); // its turn cannot come before the lock is free
                }
                alone.queue.add(transfer);
            }
        }
    }

    /// Transfers of one disk that are done one at a time.
    private final class Alone implements DiskWork {
        private final FairTurns<Runnable>.Line line;

        // Guarded by lock.
        private final ArrayDeque<DiskTransfer> queue = new ArrayDeque<>(64);
        private boolean running;

        Alone(FairTurns<Runnable>.Line line) {
            this.line = line;
        }

        @Override
        public long costBytes() { // asked with the lock held
            return queue.getFirst().costBytes();
        }

        @Override
        public void run() {
            DiskTransfer next;
            synchronized (lock) {
                next = queue.removeFirst();
                running = true;
            }
            try {
                next.run();
            } finally {
                synchronized (lock) {
                    running = false;
                    if (!queue.isEmpty()) {
                        line.add(this); // this thread itself looks for work next
                    }
                }
            }
        }
    }

    private static RejectedExecutionException ended() {
        return new RejectedExecutionException("the disk workers have ended");
    }

    private void giveToThread(FairTurns<Runnable>.Line line, Runnable work) {
        synchronized (lock) {
            if (closed) {
                throw ended();
            }
            addWork(line, work);
        }
    }

    /// What the kernel does not do alone. Nobody else may be there for it.
    private void giveBack(FairTurns<Runnable>.Line line, Runnable work) {
        try {
            giveToThread(line, work);
        } catch (RejectedExecutionException e) {
            work.run();
        }
    }

    /// With the lock.
    private void addWork(FairTurns<Runnable>.Line line, Runnable work) {
        boolean threadIsFree = turns.size() < idle;
        if (!threadIsFree && threads.size() < maxThreads) {
            startThread(); // first: without any, the work is not taken
        }
        line.add(work);
        if (threadIsFree) {
            lock.notify();
        }
    }

    private static int check(int weight) {
        if (weight < 1 || weight > MAX_WEIGHT) {
            throw new IllegalArgumentException("weight not in 1.." + MAX_WEIGHT + ": " + weight);
        }
        return weight;
    }

    /// With the lock. When the machine has no more threads, those that are there do the work.
    private void startThread() {
        Thread thread = factory.newThread(this::runWork);
        try {
            thread.start();
        } catch (OutOfMemoryError e) { // so the JVM says that the kernel gives no thread
            if (threads.isEmpty()) {
                throw new RejectedExecutionException("no thread for work of disks", e);
            }
            if (!saidTooFew) {
                saidTooFew = true;
                LOG.warn("{} threads for disks and no more: {}", threads.size(), e.getMessage());
            }
            return; // and not counted
        }
        threads.add(thread);
    }

    /// The threads of now; for tests of what they allocate.
    List<Thread> threads() {
        List<Thread> all = new ArrayList<>();
        if (kernel != null) {
            all.add(kernel.thread());
        }
        synchronized (lock) {
            all.addAll(threads);
        }
        return all;
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
            long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(keepAliveMillis);
            while (turns.size() == 0) {
                if (closed || System.nanoTime() - end >= 0) {
                    threads.remove(Thread.currentThread());
                    return null;
                }
                idle++;
                try {
                    lock.wait(keepAliveMillis);
                } catch (InterruptedException e) {
                    LOG.debug("nobody interrupts a disk worker for a reason", e);
                } finally {
                    idle--;
                }
            }
            return turns.take();
        }
    }

    /// Waits for what was given. The devices are closed before.
    @Override
    public void close() {
        if (kernel != null) {
            kernel.close(); // it may still give something to a thread
        }
        List<Thread> last;
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
            last = List.copyOf(threads);
        }
        last.forEach(DiskWorkers::join);
    }

    /// Waits for the end of a thread, come what may: the disk is closed after this.
    static void join(Thread thread) {
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
