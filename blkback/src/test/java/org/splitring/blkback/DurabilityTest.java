package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;

/// The promise of a flush, with stores that fail, record and lose power.
@Timeout(60)
class DurabilityTest {
    private static final int SECTORS = 64;

    /// Keeps what is stable and what is only in its cache apart, and every call in order.
    private static final class RecordingStore extends MemoryStore {
        /// Writes in order; a null marks a synchronisation that has finished.
        final List<Write> log = new ArrayList<>();

        @SuppressWarnings("ArrayRecordComponent") // compared by nobody
        record Write(long offset, byte[] bytes, boolean isSync) {}

        RecordingStore() {
            super(SECTORS * 512);
        }

        @Override
        public void write(IoVector from, long offset) throws IOException {
            byte[] bytes = new byte[(int) from.remainingBytes()];
            super.write(from, offset);
            System.arraycopy(this.bytes, (int) offset, bytes, 0, bytes.length);
            log.add(new Write(offset, bytes, false));
        }

        @Override
        public void sync() {
            log.add(new Write(0, new byte[0], true));
        }

        /// What a disk may hold when the power goes after `calls` of the log: everything up to the
        /// last synchronisation, and of the later writes any subset, sector by sector.
        byte[] afterPowerLoss(int calls, Random random) {
            byte[] disk = new byte[bytes.length];
            int lastSync = -1;
            for (int i = 0; i < calls; i++) {
                lastSync = log.get(i).isSync() ? i : lastSync;
            }
            for (int i = 0; i < calls; i++) {
                Write write = log.get(i);
                for (int at = 0; at < write.bytes().length; at += 512) {
                    if (i < lastSync || random.nextBoolean()) {
                        System.arraycopy(write.bytes(), at, disk, (int) write.offset() + at, 512);
                    }
                }
            }
            return disk;
        }
    }

    /// Fails the n-th write or synchronisation, and only that one: as Linux, which reports an
    /// error once.
    private static final class FailingStore extends MemoryStore {
        private final int failAt;
        private final int errno;
        int calls;

        FailingStore(int failAt, int errno) {
            super(SECTORS * 512);
            this.failAt = failAt;
            this.errno = errno;
        }

        private void call(String what) throws IOException {
            if (calls++ == failAt) {
                throw new LinuxException(what, errno);
            }
        }

        @Override
        public void write(IoVector from, long offset) throws IOException {
            call("write");
            super.write(from, offset);
        }

        @Override
        public void sync() throws IOException {
            call("fdatasync");
        }
    }

    private static IoVector sector(int fill) {
        MemorySegment memory = Arena.ofAuto().allocate(512);
        memory.fill((byte) fill);
        IoVector vector = new IoVector(1);
        vector.add(memory, 0, 512);
        return vector;
    }

    private static boolean flushNow(DiskImage disk) {
        AtomicInteger result = new AtomicInteger();
        disk.flush(stable -> result.set(stable ? 1 : -1));
        assertTrue(result.get() != 0, "answered");
        return result.get() > 0;
    }

    @Test
    void aFlushWaitsForASynchronisationThatStartedAfterIt() {
        List<String> events = new ArrayList<>();
        ArrayDeque<Runnable> executor = new ArrayDeque<>();
        DiskImage[] image = new DiskImage[1];
        MemoryStore store =
                new MemoryStore(512) {
                    private int syncs;

                    @Override
                    public void sync() {
                        int number = ++syncs;
                        events.add("start " + number);
                        if (number == 1) { // B and C come while the first one runs
                            image[0].flush(stable -> events.add("B"));
                            image[0].flush(stable -> events.add("C"));
                        }
                        events.add("end " + number);
                    }
                };
        image[0] = DiskImage.of(store, DiskMode.WRITEBACK, executor::add);
        image[0].flush(stable -> events.add("A"));
        assertEquals(List.of(), events);
        while (!executor.isEmpty()) {
            executor.remove().run();
        }
        assertEquals(List.of("start 1", "end 1", "A", "start 2", "end 2", "B", "C"), events);
    }

    @Test
    void startedAfterHoldsForManyThreads() throws Exception {
        AtomicLong clock = new AtomicLong();
        AtomicLong stableUpTo = new AtomicLong(); // everything before this time is stable
        AtomicInteger running = new AtomicInteger();
        AtomicBoolean overlapped = new AtomicBoolean();
        MemoryStore store =
                new MemoryStore(512) {
                    @Override
                    public void sync() {
                        if (running.incrementAndGet() != 1) {
                            overlapped.set(true);
                        }
                        long started = clock.incrementAndGet();
                        for (int i = 0; i < 200; i++) {
                            Thread.onSpinWait();
                        }
                        stableUpTo.set(started);
                        running.decrementAndGet();
                    }
                };
        AtomicInteger broken = new AtomicInteger();
        AtomicInteger flushes = new AtomicInteger();
        long syncs;
        try (ExecutorService sync = Executors.newFixedThreadPool(3);
                ExecutorService callers = Executors.newFixedThreadPool(4)) {
            DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, sync);
            List<CompletableFuture<Void>> all = new ArrayList<>();
            for (int caller = 0; caller < 4; caller++) {
                all.add(
                        CompletableFuture.runAsync(
                                () -> {
                                    for (int i = 0; i < 3000; i++) {
                                        long asked = clock.incrementAndGet();
                                        CompletableFuture<Boolean> done = new CompletableFuture<>();
                                        disk.flush(
                                                stable -> {
                                                    if (!stable || stableUpTo.get() < asked) {
                                                        broken.incrementAndGet();
                                                    }
                                                    flushes.incrementAndGet();
                                                    done.complete(stable);
                                                });
                                        done.orTimeout(10, TimeUnit.SECONDS).join();
                                    }
                                },
                                callers));
            }
            for (CompletableFuture<Void> one : all) {
                one.get(30, TimeUnit.SECONDS);
            }
            syncs = disk.syncsStarted();
        }
        assertEquals(0, broken.get());
        assertFalse(overlapped.get());
        assertEquals(12_000, flushes.get());
        assertTrue(syncs <= 12_000, "synchronisations " + syncs);
    }

    @ParameterizedTest
    @ValueSource(ints = {Errno.EIO, Errno.ENOSPC, Errno.EDQUOT})
    void afterTheNthCallHasFailedTheDiskStaysFailed(int errno) {
        // The script: write, write, flush, six times over. The n-th call of the store fails.
        for (int n = 0; n < 18; n++) {
            FailingStore store = new FailingStore(n, errno);
            DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
            List<DiskFailure> told = new ArrayList<>();
            disk.onFailure(told::add);
            for (int step = 0; step < 18; step++) {
                boolean done =
                        step % 3 == 2
                                ? flushNow(disk)
                                : disk.write(sector(step + 1), step * 512L) == DiskImage.DONE;
                assertEquals(step < n, done, "call " + n + " fails, step " + step);
                assertEquals(DiskImage.DONE, disk.read(sector(0), 0), "reads go on");
            }
            assertEquals(n + 1, store.calls, "nothing reaches the store afterwards");
            assertFalse(disk.tryWrite(sector(1), 0) == DiskImage.DONE);
            assertEquals(1, told.size());
            String failure = disk.failure().orElseThrow().toString();
            assertTrue(failure.contains(n % 3 == 2 ? "flush" : "write"), failure);
            assertTrue(failure.contains(Errno.describe(errno)), failure);
            List<DiskFailure> late = new ArrayList<>();
            disk.onFailure(late::add);
            assertEquals(told, late);
            assertThrows(DiskException.class, disk::close);
        }
    }

    @Test
    void aWriteThatFailsDuringAFlushFailsTheFlush() {
        ArrayDeque<Runnable> executor = new ArrayDeque<>();
        FailingStore store = new FailingStore(1, Errno.EIO); // the synchronisation is call 0
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, executor::add);
        AtomicInteger answer = new AtomicInteger();
        disk.flush(stable -> answer.set(stable ? 1 : -1));
        store.calls = 1;
        assertEquals(DiskImage.FAILED, disk.write(sector(1), 0));
        executor.remove().run();
        assertEquals(-1, answer.get());
    }

    /// What it does when it is asked to, once.
    private static final class BusyStore extends MemoryStore {
        int syncs;

        private interface Task {
            void run() throws IOException;
        }

        private Task duringSync = () -> {};
        private Task duringWrite = () -> {};

        BusyStore() {
            super(SECTORS * 512);
        }

        private static void run(Task task) throws IOException {
            task.run();
        }

        @Override
        public void write(IoVector from, long offset) throws IOException {
            Task now = duringWrite;
            duringWrite = () -> {};
            run(now);
            super.write(from, offset);
        }

        @Override
        public void sync() throws IOException {
            syncs++;
            Task now = duringSync;
            duringSync = () -> {};
            run(now);
        }
    }

    private static void fail(String what) throws IOException {
        throw new LinuxException(what, Errno.EIO);
    }

    /// Another thread's, after the synchronisation has begun and before it has ended well.
    @Test
    void aWriteThatFailsDuringASynchronisationFailsTheFlush() {
        BusyStore store = new BusyStore();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        store.duringWrite = () -> fail("pwritev2");
        store.duringSync = () -> assertEquals(DiskImage.FAILED, disk.write(sector(1), 0));
        assertFalse(flushNow(disk));
        assertEquals(1, store.syncs);
    }

    /// It came while the one before was running, which has failed.
    @Test
    void noSynchronisationFollowsOneThatFailed() {
        BusyStore store = new BusyStore();
        List<Boolean> answers = new ArrayList<>();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        store.duringSync =
                () -> {
                    disk.flush(answers::add);
                    fail("fdatasync");
                };
        assertFalse(flushNow(disk));
        assertEquals(List.of(false), answers);
        assertFalse(flushNow(disk));
        assertEquals(1, store.syncs);
    }

    /// Two writes that were under way at once.
    @Test
    void theFirstFailureIsTheOneThatIsTold() {
        BusyStore store = new BusyStore();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        List<DiskFailure> told = new ArrayList<>();
        disk.onFailure(told::add);
        store.duringWrite =
                () -> {
                    store.duringWrite = () -> fail("the other");
                    assertEquals(DiskImage.FAILED, disk.write(sector(1), 512));
                    fail("this one");
                };
        assertEquals(DiskImage.FAILED, disk.write(sector(1), 0));
        assertEquals(1, told.size());
        assertEquals(told.getFirst(), disk.failure().orElseThrow());
        assertTrue(told.getFirst().toString().contains("the other"), told.toString());
    }

    @Test
    void aMistakeOfTheStoreFailsTheDiskAndAnswersTheFlush() {
        BusyStore store = new BusyStore();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        store.duringSync =
                () -> {
                    throw new IllegalStateException("a mistake");
                };
        assertFalse(flushNow(disk));
        assertTrue(disk.failure().orElseThrow().toString().contains("a mistake"));
        assertFalse(flushNow(disk));
        assertEquals(1, store.syncs);
    }

    @Test
    void whoCannotTakeAnAnswerKeepsItFromNobodyElse() {
        ArrayDeque<Runnable> executor = new ArrayDeque<>();
        DiskImage disk = DiskImage.of(new BusyStore(), DiskMode.WRITEBACK, executor::add);
        List<Boolean> answers = new ArrayList<>();
        disk.flush(
                stable -> {
                    throw new IllegalStateException("not now");
                });
        disk.flush(answers::add);
        executor.remove().run();
        assertEquals(List.of(true), answers);
        disk.flush(answers::add);
        executor.remove().run();
        assertEquals(List.of(true, true), answers);
    }

    @Test
    void whoNoLongerListensIsNotTold() {
        BusyStore store = new BusyStore();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        List<DiskFailure> told = new ArrayList<>();
        Consumer<DiskFailure> listener = told::add;
        disk.onFailure(listener);
        disk.removeFailureListener(listener);
        store.duringWrite = () -> fail("pwritev2");
        assertEquals(DiskImage.FAILED, disk.write(sector(1), 0));
        assertTrue(disk.failure().isPresent());
        assertEquals(List.of(), told);
    }

    /// Whoever is told may ask the disk something, from another thread too.
    @Test
    void nobodyIsToldWithTheLockHeld() {
        BusyStore store = new BusyStore();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        List<Long> syncs = new ArrayList<>();
        Runnable ask =
                () ->
                        syncs.add(
                                CompletableFuture.supplyAsync(disk::syncsStarted)
                                        .orTimeout(10, TimeUnit.SECONDS)
                                        .join());
        disk.onFailure(failure -> ask.run());
        disk.flush(stable -> ask.run());
        store.duringWrite = () -> fail("pwritev2");
        assertEquals(DiskImage.FAILED, disk.write(sector(1), 0));
        disk.flush(stable -> ask.run());
        disk.onFailure(failure -> ask.run());
        assertEquals(List.of(1L, 1L, 1L, 1L), syncs);
    }

    @Test
    void everyFlushedWriteSurvivesPowerLossAtEachMoment() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        for (int run = 0; run < 50; run++) {
            RecordingStore store = new RecordingStore();
            DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
            // What must be there, and since which call of the store.
            List<byte[]> promised = new ArrayList<>();
            List<Integer> since = new ArrayList<>();
            byte[] acknowledged = new byte[SECTORS * 512];
            for (int step = 0; step < 60; step++) {
                if (random.nextInt(5) == 0) {
                    byte[] before = acknowledged.clone();
                    assertTrue(flushNow(disk));
                    promised.add(before);
                    since.add(store.log.size());
                } else {
                    int at = random.nextInt(SECTORS);
                    int fill = 1 + random.nextInt(120);
                    assertEquals(DiskImage.DONE, disk.write(sector(fill), at * 512L));
                    java.util.Arrays.fill(acknowledged, at * 512, at * 512 + 512, (byte) fill);
                }
            }
            for (int calls = 0; calls <= store.log.size(); calls++) {
                byte[] left = store.afterPowerLoss(calls, random);
                byte[] must = null;
                int from = 0;
                for (int i = 0; i < promised.size(); i++) {
                    if (since.get(i) <= calls) {
                        must = promised.get(i);
                        from = since.get(i);
                    }
                }
                if (must == null) {
                    continue;
                }
                for (int sector = 0; sector < SECTORS; sector++) {
                    byte now = left[sector * 512];
                    boolean okay = now == must[sector * 512];
                    for (int i = from; i < calls; i++) { // or a later write of it
                        RecordingStore.Write write = store.log.get(i);
                        okay |=
                                !write.isSync()
                                        && write.offset() == sector * 512L
                                        && write.bytes()[0] == now;
                    }
                    assertTrue(okay, "sector " + sector + " after " + calls + " calls");
                }
            }
        }
    }

    @Test
    void unsafeFlushesDoNothingAndSayYes() {
        RecordingStore store = new RecordingStore();
        DiskImage disk = DiskImage.of(store, DiskMode.UNSAFE, Runnable::run);
        assertTrue(flushNow(disk));
        assertEquals(List.of(), store.log);
        assertTrue(disk.toString().contains("unsafe"));
    }

    @Test
    void aClosedExecutorFailsFlushesInsteadOfHanging() {
        ExecutorService executor = Executors.newSingleThreadExecutor();
        executor.shutdown();
        DiskImage disk = DiskImage.of(new MemoryStore(512), DiskMode.WRITEBACK, executor);
        assertFalse(flushNow(disk));
        assertFalse(flushNow(disk));
        assertNotNull(disk.failure().orElse(null));
    }

    @Test
    void dataGoesWhereItBelongs() {
        MemoryStore store = new MemoryStore(4 * 512);
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        assertEquals(DiskImage.DONE, disk.write(sector(3), 512));
        byte[] expected = new byte[4 * 512];
        java.util.Arrays.fill(expected, 512, 1024, (byte) 3);
        assertArrayEquals(expected, store.bytes);
        IoVector back = sector(0);
        MemorySegment memory = back.memory(0);
        assertEquals(DiskImage.DONE, disk.read(back, 512));
        assertEquals(3, memory.get(ValueLayout.JAVA_BYTE, 511));
    }
}
