package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.linux.IoUring;

/// Who gets the threads that wait for storage when several disks want them. One thread, and more
/// work than it can do before the first is done.
@Timeout(60)
class DiskWorkersTest {
    private final List<String> order = Collections.synchronizedList(new ArrayList<>());
    private final CountDownLatch begin = new CountDownLatch(1);
    private final CountDownLatch end = new CountDownLatch(1);

    private record Sized(Runnable work, long costBytes) implements DiskWork {
        @Override
        public void run() {
            work.run();
        }
    }

    private void block(WorkShare share) {
        share.execute(
                () -> {
                    try {
                        begin.await();
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                });
    }

    private void give(WorkShare share, String name, int times, long bytes) {
        for (int i = 0; i < times; i++) {
            share.execute(new Sized(() -> order.add(name), bytes));
        }
    }

    private long count(String name, int first) {
        return order.subList(0, first).stream().filter(name::equals).count();
    }

    @Test
    void bytesAreSharedByWeight() {
        try (DiskWorkers workers = new DiskWorkers(1)) {
            WorkShare one = workers.share(100);
            WorkShare three = workers.share(100);
            three.weigh(300);
            block(workers.share(100));
            give(one, "one", 400, 64 << 10);
            give(three, "three", 400, 64 << 10);
            begin.countDown();
        }
        assertEquals(800, order.size());
        long ofThree = count("three", 400);
        assertTrue(ofThree >= 280 && ofThree <= 320, ofThree + " of 400");
    }

    @Test
    void smallRequestsAreNotHeldUpByLargeOnes() {
        try (DiskWorkers workers = new DiskWorkers(1)) {
            WorkShare small = workers.share(100);
            WorkShare large = workers.share(100);
            block(workers.share(100));
            give(large, "large", 50, 1 << 20);
            give(small, "small", 800, 4096);
            begin.countDown();
        }
        // As many bytes: 64 of the least cost for each MiB.
        long small = order.indexOf("small");
        assertTrue(small <= 1, "the first small one is number " + small);
        long ofLarge = count("large", 500);
        assertTrue(ofLarge >= 6 && ofLarge <= 9, ofLarge + " large ones among 500");
    }

    @Test
    void whoWasAloneOwesNothing() {
        try (DiskWorkers workers = new DiskWorkers(1)) {
            WorkShare first = workers.share(100);
            WorkShare second = workers.share(100);
            give(first, "before", 200, 1 << 20);
            first.execute(end::countDown);
            end.await();
            block(first);
            give(first, "first", 20, 1 << 20);
            give(second, "second", 20, 1 << 20);
            begin.countDown();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        List<String> after = order.subList(200, 240);
        long ofFirst = after.subList(0, 20).stream().filter("first"::equals).count();
        assertTrue(ofFirst >= 9 && ofFirst <= 11, after.toString());
    }

    /// Work that is done one at a time of its disk.
    private record Lonely(Runnable work) implements DiskTransfer {
        @Override
        public boolean isPlain() {
            return false;
        }

        @Override
        public boolean isAlone() {
            return true;
        }

        @Override
        public void submit(IoUring ring, long token) {
            throw new AssertionError("not plain");
        }

        @Override
        public Next completed(int result) {
            throw new AssertionError("not plain");
        }

        @Override
        public long costBytes() {
            return 4096;
        }

        @Override
        public void run() {
            work.run();
        }
    }

    @Test
    void whatIsToBeAloneComesInOrderAndLeavesThreadsToOthers() throws Exception {
        AtomicInteger underWay = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<Integer> done = Collections.synchronizedList(new ArrayList<>());
        try (DiskWorkers workers = new DiskWorkers(2)) {
            WorkShare writes = workers.share(100);
            for (int i = 0; i < 100; i++) {
                int number = i;
                writes.execute(
                        new Lonely(
                                () -> {
                                    most.accumulateAndGet(underWay.incrementAndGet(), Math::max);
                                    if (number == 0) {
                                        await(begin);
                                    }
                                    done.add(number);
                                    underWay.decrementAndGet();
                                    if (number == 50) {
                                        throw new IllegalStateException("a mistake of its own");
                                    }
                                }));
            }
            CountDownLatch other = new CountDownLatch(1);
            workers.share(100).execute(other::countDown);
            assertTrue(other.await(20, TimeUnit.SECONDS), "one thread is free");
            begin.countDown();
        }
        assertEquals(1, most.get());
        assertEquals(IntStream.range(0, 100).boxed().toList(), done);
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// As on a machine that has no threads left, until it has.
    private static final class Machine implements ThreadFactory {
        private int threads;

        Machine(int threads) {
            this.threads = threads;
        }

        @Override
        public Thread newThread(Runnable task) {
            return new Thread(task) {
                @Override
                public void start() {
                    if (threads == 0) {
                        throw new OutOfMemoryError("unable to create native thread");
                    }
                    threads--;
                    super.start();
                }
            };
        }
    }

    private static DiskWorkers workers(int threads, Machine machine, long keepAliveMillis) {
        return new DiskWorkers(threads, DiskEngine.THREADS, machine, keepAliveMillis);
    }

    @Test
    void workThatNoThreadCanBeHadForIsRefused() {
        Machine machine = new Machine(0);
        try (DiskWorkers workers = workers(1, machine, 10_000)) {
            WorkShare share = workers.share(100);
            Runnable refused = () -> order.add("refused");
            Lonely lonely = new Lonely(refused);
            for (int i = 0; i < 3; i++) {
                assertThrows(RejectedExecutionException.class, () -> share.execute(lonely));
                assertThrows(RejectedExecutionException.class, () -> share.execute(refused));
            }
            assertEquals(List.of(), workers.threads());
            machine.threads = 1; // those that did not start do not count
            share.execute(new Lonely(() -> order.add("alone")));
            share.execute(() -> order.add("beside others"));
        }
        assertEquals(List.of("alone", "beside others"), order);
    }

    @Test
    void theThreadsThatThereAreDoTheWorkOfThoseThatCannotStart() {
        Machine machine = new Machine(1);
        try (DiskWorkers workers = workers(3, machine, 10_000)) {
            WorkShare share = workers.share(100);
            block(share);
            give(share, "work", 5, 4096);
            assertEquals(1, workers.threads().size());
            begin.countDown();
        }
        assertEquals(5, order.size());
    }

    @Test
    void aThreadThatHadNothingToDoEndsAndMakesRoomForAnother() throws Exception {
        try (DiskWorkers workers = workers(1, new Machine(2), 1)) {
            WorkShare share = workers.share(100);
            share.execute(() -> order.add("first"));
            for (Thread thread : workers.threads()) {
                thread.join();
            }
            assertEquals(List.of(), workers.threads());
            share.execute(() -> order.add("second"));
        }
        assertEquals(List.of("first", "second"), order);
    }

    @Test
    void weightsThatCannotBeAreRefused() {
        WorkShare share;
        try (DiskWorkers workers = new DiskWorkers(1)) {
            assertThrows(IllegalArgumentException.class, () -> workers.share(0));
            share = workers.share(1);
            assertThrows(IllegalArgumentException.class, () -> share.weigh(1001));
        }
        assertThrows(RejectedExecutionException.class, () -> share.execute(() -> {}));
    }
}
