package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;

/// An image without ring and guest: whatever is asked is answered once, on the loop.
@Timeout(60)
class LocalDiskTest {
    private static final int SIZE = 64 * 512;

    @TempDir Path folder;

    private final PumpedLoop loop = new PumpedLoop();
    private final ArrayDeque<Runnable> given = new ArrayDeque<>(); // to the workers
    private final ArrayDeque<Runnable> syncs = new ArrayDeque<>();
    private final List<String> answers = new ArrayList<>();

    LocalDiskTest() {
        loop.pump(); // this thread is the loop's
    }

    /// Does what it is told to, once.
    private static final class MoodyStore extends MemoryStore {
        /// What it moves without waiting.
        long atOnceBytes = Long.MAX_VALUE;

        boolean fails;
        boolean keepsStorage;

        MoodyStore() {
            super(SIZE);
        }

        private void mayFail(String what) throws IOException {
            if (fails) {
                fails = false;
                throw new LinuxException(what, Errno.EIO);
            }
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) throws IOException {
            return atOnceBytes >= into.remainingBytes()
                    ? read(into, offsetBytes)
                    : part(into, part -> super.read(part, offsetBytes));
        }

        @Override
        public long read(IoVector into, long offsetBytes) throws IOException {
            mayFail("preadv2");
            return super.read(into, offsetBytes);
        }

        @Override
        public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
            if (atOnceBytes >= from.remainingBytes()) {
                return super.writeNoWait(from, offsetBytes);
            }
            return part(from, part -> super.write(part, offsetBytes));
        }

        @Override
        public void write(IoVector from, long offsetBytes) throws IOException {
            mayFail("pwritev2");
            super.write(from, offsetBytes);
        }

        @Override
        public void discard(long offsetBytes, long sizeBytes) throws IOException {
            if (keepsStorage) {
                throw new UnsupportedOperationException("discard");
            }
            mayFail("fallocate");
            super.discard(offsetBytes, sizeBytes);
        }

        @Override
        public void sync() throws IOException {
            mayFail("fdatasync");
        }

        private interface Transfer {
            void of(IoVector part) throws IOException;
        }

        private long part(IoVector all, Transfer transfer) throws IOException {
            if (atOnceBytes == 0) {
                return WOULD_BLOCK;
            }
            IoVector part = new IoVector(1);
            part.addFrom(all, atOnceBytes);
            transfer.of(part);
            all.advance(atOnceBytes);
            return atOnceBytes;
        }
    }

    private LocalDisk<String> disk(BlockStore store) {
        return disk(DiskImage.of(store, DiskMode.WRITEBACK, syncs::add));
    }

    private LocalDisk<String> disk(DiskImage image) {
        return new LocalDisk<>(image, given::add, loop, this::answered);
    }

    private void answered(String asker, int blkifStatus) {
        assertTrue(loop.inLoop(), "not on the loop");
        answers.add(asker + " " + blkifStatus);
    }

    /// What has been answered since this was asked last.
    private List<String> answers() {
        List<String> now = List.copyOf(answers);
        answers.clear();
        return now;
    }

    /// Has another thread do something that was given away.
    private static void elsewhere(Runnable work) {
        CompletableFuture.runAsync(work).orTimeout(20, TimeUnit.SECONDS).join();
    }

    private void workersWork() {
        while (!given.isEmpty()) {
            elsewhere(given.remove());
        }
    }

    private static MemorySegment filled(int sizeBytes, int with) {
        return Arena.ofAuto().allocate(sizeBytes, 8).fill((byte) with);
    }

    /// Asserts that a range of the store has one value, and nothing beside it.
    private static void assertOnly(int value, int from, int to, MemoryStore store) {
        byte[] expected = new byte[SIZE];
        Arrays.fill(expected, from, to, (byte) value);
        assertArrayEquals(expected, store.bytes);
    }

    private static void assertFilled(int value, MemorySegment memory) {
        assertEquals(-1, filled((int) memory.byteSize(), value).mismatch(memory));
    }

    @Test
    void whatTheStoreHasIsMovedAtOnce() {
        MoodyStore store = new MoodyStore();
        LocalDisk<String> disk = disk(store);
        disk.write(512, filled(2048, 7), 1024, "write");
        assertEquals(List.of("write 0"), answers());
        assertOnly(7, 512, 1536, store);
        MemorySegment memory = filled(1024, 1);
        disk.read(1024, memory, 512, "read");
        assertEquals(List.of("read 0"), answers());
        assertFilled(7, memory.asSlice(0, 512));
        assertFilled(1, memory.asSlice(512));
        assertTrue(given.isEmpty());
    }

    /// The rest of it, where the first part left off.
    @Test
    void whatHasToWaitGoesToAWorkerAndComesBackToTheLoop() {
        MoodyStore store = new MoodyStore();
        LocalDisk<String> disk = disk(store);
        for (int atOnce : new int[] {0, 512}) {
            Arrays.fill(store.bytes, (byte) 0);
            store.atOnceBytes = atOnce;
            disk.write(1024, filled(1536, 9), 1536, "write");
            assertOnly(9, 1024, 1024 + atOnce, store);
            elsewhere(given.remove());
            assertEquals(List.of(), answers());
            loop.pump();
            assertEquals(List.of("write 0"), answers());
            assertOnly(9, 1024, 2560, store);

            MemorySegment memory = filled(1536, 1);
            disk.read(1024, memory, 1536, "read");
            elsewhere(given.remove());
            assertEquals(List.of(), answers());
            loop.pump();
            assertEquals(List.of("read 0"), answers());
            assertFilled(9, memory);
        }
        assertTrue(given.isEmpty());
    }

    @Test
    void theOneThatEndsFirstIsAnsweredFirst() {
        MoodyStore store = new MoodyStore();
        store.atOnceBytes = 0;
        LocalDisk<String> disk = disk(store);
        for (String asker : List.of("a", "b", "c")) {
            disk.read(0, filled(512, 0), 512, asker);
        }
        given.addFirst(given.removeLast());
        workersWork();
        loop.pump();
        assertEquals(List.of("c 0", "a 0", "b 0"), answers());
        loop.pump();
        assertEquals(List.of(), answers());
    }

    /// Whatever became of the one before, at once or later.
    @Test
    void requestsThatAreUsedAgainKeepNothing() {
        MoodyStore store = new MoodyStore();
        Arrays.fill(store.bytes, (byte) 5);
        LocalDisk<String> disk = disk(store);
        for (int atOnce : new int[] {SIZE, 0}) {
            store.atOnceBytes = atOnce;
            store.fails = true;
            MemorySegment failed = filled(2048, 0);
            disk.read(0, failed, 2048, "fails");
            workersWork();
            loop.pump();
            assertEquals(List.of("fails -1"), answers());
            MemorySegment memory = filled(512, 0);
            disk.read(512, memory, 512, "after it");
            workersWork();
            loop.pump();
            assertEquals(List.of("after it 0"), answers());
            assertFilled(5, memory);
            assertFilled(0, failed);
        }
    }

    @Test
    void whatIsUnderWayIsNotUsedForAnother() {
        MoodyStore store = new MoodyStore();
        for (int i = 0; i < SIZE; i++) {
            store.bytes[i] = (byte) (i / 512);
        }
        LocalDisk<String> disk = disk(store);
        disk.read(0, filled(512, 0), 512, "before");
        store.atOnceBytes = 0;
        List<MemorySegment> memories = new ArrayList<>();
        for (int round = 0; round < 3; round++) {
            answers.clear();
            for (int i = 0; i < 5; i++) {
                memories.add(filled(512, 99));
                disk.read(i * 512L, memories.getLast(), 512, "read " + i);
            }
            disk.flush("flush");
            disk.discard(SIZE - 512, 512, "discard");
            // While they wait another comes and is answered.
            store.atOnceBytes = SIZE;
            disk.read(0, filled(512, 0), 512, "at once");
            store.atOnceBytes = 0;
            workersWork();
            elsewhere(syncs.remove());
            loop.pump();
            assertEquals(
                    List.of(
                            "at once 0",
                            "read 0 0",
                            "read 1 0",
                            "read 2 0",
                            "read 3 0",
                            "read 4 0",
                            "discard 0",
                            "flush 0"),
                    answers());
            for (int i = 0; i < 5; i++) {
                assertFilled(i, memories.removeFirst());
            }
        }
    }

    @Test
    void aFlushIsAnsweredAfterASynchronisation() {
        LocalDisk<String> disk = disk(new MoodyStore());
        disk.flush("flush");
        loop.pump();
        assertEquals(List.of(), answers());
        elsewhere(syncs.remove());
        assertEquals(List.of(), answers());
        loop.pump();
        assertEquals(List.of("flush 0"), answers());
        assertEquals(1, disk.image().syncsStarted());
    }

    @Test
    void aReadThatFailsIsAnErrorAndNoMore() {
        MoodyStore store = new MoodyStore();
        LocalDisk<String> disk = disk(store);
        store.fails = true;
        disk.read(0, filled(512, 0), 512, "read");
        assertEquals(List.of("read -1"), answers());
        assertTrue(disk.image().failure().isEmpty());
        disk.write(0, filled(512, 1), 512, "write");
        assertEquals(List.of("write 0"), answers());
    }

    /// A write at once, one by a worker, and a flush.
    @Test
    void afterAFailureNothingIsWrittenAndReadsGoOn() {
        for (String kind : List.of("at once", "by a worker", "flush")) {
            MoodyStore store = new MoodyStore();
            store.atOnceBytes = kind.equals("by a worker") ? 0 : SIZE;
            LocalDisk<String> disk = disk(store);
            LocalDisk<String> another = disk(disk.image());
            store.fails = true;
            if (kind.equals("flush")) {
                disk.flush(kind);
                elsewhere(syncs.remove());
            } else {
                disk.write(0, filled(512, 1), 512, kind);
                workersWork();
            }
            loop.pump();
            assertEquals(List.of(kind + " -1"), answers());
            assertTrue(disk.image().failure().isPresent());

            store.atOnceBytes = SIZE;
            another.write(0, filled(512, 1), 512, "write");
            another.discard(0, 512, "discard");
            disk.flush("flush");
            disk.read(0, filled(512, 1), 512, "read");
            workersWork();
            loop.pump();
            assertEquals(List.of("write -1", "read 0", "flush -1", "discard -1"), sorted());
            assertTrue(syncs.isEmpty(), "a failed disk is not synchronised");
            assertOnly(0, 0, 0, store);
        }
    }

    /// What is answered at once, then the rest in no order that matters.
    private List<String> sorted() {
        List<String> all = new ArrayList<>(answers());
        all.sort((a, b) -> Integer.compare(b.charAt(0), a.charAt(0)));
        return all;
    }

    @Test
    void discardsGoToAWorkerAlways() {
        MoodyStore store = new MoodyStore();
        Arrays.fill(store.bytes, 512, 2048, (byte) 3);
        LocalDisk<String> disk = disk(store);
        disk.discard(1024, 1024, "discard");
        assertEquals(List.of(), answers());
        elsewhere(given.remove());
        loop.pump();
        assertEquals(List.of("discard 0"), answers());
        assertOnly(3, 512, 1024, store);

        store.fails = true;
        disk.discard(0, 512, "fails");
        elsewhere(given.remove());
        store.keepsStorage = true;
        disk.discard(0, 512, "cannot");
        elsewhere(given.remove());
        loop.pump();
        assertEquals(List.of("fails -1", "cannot -2"), answers());
        assertTrue(disk.image().failure().isEmpty());
    }

    @Test
    void aReadOnlyDiskIsReadOnly() {
        MemoryStore store = new MemoryStore(SIZE, true);
        LocalDisk<String> disk = disk(store);
        disk.write(0, filled(512, 1), 512, "write");
        disk.discard(0, 512, "discard");
        elsewhere(given.remove());
        loop.pump();
        assertEquals(List.of("write -1", "discard -1"), answers());
        assertTrue(disk.image().failure().isEmpty());
        disk.read(0, filled(512, 1), 512, "read");
        assertEquals(List.of("read 0"), answers());
        assertOnly(0, 0, 0, store);
    }

    @Test
    void whatIsBehindTheEndAfterACutIsAnError() throws Exception {
        Path file = Files.write(folder.resolve("disk.img"), new byte[SIZE]);
        FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false);
        try (DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run)) {
            LocalDisk<String> disk = disk(image);
            image.resize(4096);
            disk.write(8192, filled(512, 1), 512, "write");
            disk.write(3584, filled(1024, 1), 1024, "half a write");
            disk.read(8192, filled(512, 1), 512, "read");
            disk.read(3584, filled(1024, 1), 1024, "half a read");
            workersWork();
            loop.pump();
            assertEquals(
                    List.of("write -1", "half a write -1", "read -1", "half a read -1"), answers());
            assertEquals(4096, Files.size(file));
            assertTrue(image.failure().isEmpty());
            disk.write(3584, filled(512, 1), 512, "write");
            workersWork();
            loop.pump();
            assertEquals(List.of("write 0"), answers());
        }
    }

    @Test
    void withoutWorkersTheAnswerIsAnError() {
        MoodyStore store = new MoodyStore();
        store.atOnceBytes = 0;
        LocalDisk<String> disk =
                new LocalDisk<>(
                        DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run),
                        work -> {
                            throw new RejectedExecutionException("closed");
                        },
                        loop,
                        this::answered);
        for (int round = 0; round < 3; round++) {
            disk.read(0, filled(512, 0), 512, "read");
            disk.write(0, filled(512, 0), 512, "write");
            disk.discard(0, 512, "discard");
            loop.pump();
            assertEquals(List.of("read -1", "write -1", "discard -1"), answers());
        }
        assertTrue(disk.image().failure().isEmpty());
    }

    /// A store that waits, fails and is out of order, real workers, and a loop of its own.
    @Test
    void everythingIsAnsweredOnceOnTheLoop() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_128L);
        System.out.println("seed " + seed);
        int count = 20_000;
        AtomicIntegerArray times = new AtomicIntegerArray(count);
        AtomicInteger elsewhere = new AtomicInteger();
        AtomicInteger left = new AtomicInteger(count);
        CompletableFuture<Void> done = new CompletableFuture<>();
        MemoryStore store =
                new MemoryStore(SIZE) {
                    private final Random random = new Random(seed);

                    private synchronized int chance(int of) {
                        return random.nextInt(of);
                    }

                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
                        return chance(2) == 0 ? WOULD_BLOCK : super.read(into, offsetBytes);
                    }

                    @Override
                    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
                        return chance(2) == 0 ? WOULD_BLOCK : super.writeNoWait(from, offsetBytes);
                    }

                    @Override
                    public long read(IoVector into, long offsetBytes) throws IOException {
                        return switch (chance(20)) {
                            case 0 -> throw new IOException("no");
                            case 1 -> throw new IllegalStateException("a mistake of the store");
                            default -> super.read(into, offsetBytes);
                        };
                    }
                };
        MemorySegment memory = Arena.ofAuto().allocate(SIZE);
        try (ExecutorService sync = Executors.newSingleThreadExecutor();
                DiskWorkers workers = new DiskWorkers(3);
                ThreadLoop own = new ThreadLoop("local")) {
            DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, sync);
            LocalDisk<Integer> disk =
                    new LocalDisk<>(
                            image,
                            workers.share(100),
                            own,
                            (asker, status) -> {
                                times.incrementAndGet(asker);
                                if (!own.inLoop()) {
                                    elsewhere.incrementAndGet();
                                }
                                if (left.decrementAndGet() == 0) {
                                    done.complete(null);
                                }
                            });
            Random random = new Random(seed + 1);
            for (int i = 0; i < count; i++) {
                int asker = i;
                int kind = random.nextInt(8);
                long at = 512L * random.nextInt(SIZE / 512);
                own.execute(
                        () -> {
                            switch (kind) {
                                case 0 -> disk.flush(asker);
                                case 1 -> disk.discard(at, 512, asker);
                                case 2, 3, 4 -> disk.write(at, memory, 512, asker);
                                default -> disk.read(at, memory, 512, asker);
                            }
                        });
            }
            done.get(30, TimeUnit.SECONDS);
            own.run(() -> {}); // nothing comes after the last
        }
        for (int i = 0; i < count; i++) {
            assertEquals(1, times.get(i), "answers of " + i);
        }
        assertEquals(0, elsewhere.get(), "not on the loop");
    }
}
