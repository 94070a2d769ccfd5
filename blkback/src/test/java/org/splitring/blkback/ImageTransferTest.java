package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.DiskTransfer.Next;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Whatever the kernel or the store says of a transfer, it ends once, with what is true.
@Timeout(60)
class ImageTransferTest {
    private static final int START = 1024;
    private static final int SIZE = 1536;
    private static final MemorySegment MEMORY = Arena.ofAuto().allocate(SIZE);

    @TempDir Path folder;

    private static final class Transfer extends ImageTransfer {
        private final int operation;
        private final IoVector vector = new IoVector(1);
        final List<Integer> outcomes = new ArrayList<>();

        Transfer(DiskImage disk, int operation) {
            super(disk);
            this.operation = operation;
            vector.add(MEMORY, 0, SIZE);
        }

        @Override
        int operation() {
            return operation;
        }

        @Override
        long startBytes() {
            return START;
        }

        @Override
        long sizeBytes() {
            return SIZE;
        }

        @Override
        IoVector vector() {
            return vector;
        }

        @Override
        void ended(int outcome) {
            outcomes.add(outcome);
        }
    }

    private static DiskImage of(BlockStore store) {
        return DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    }

    private final DiskImage disk = of(new MemoryStore(8192));

    @ParameterizedTest
    @ValueSource(ints = {BlkifOp.READ, BlkifOp.WRITE})
    void theKernelGoesOnWhereItLeftOff(int operation) {
        Transfer transfer = new Transfer(disk, operation);
        assertEquals(START, transfer.offsetBytes());
        assertEquals(Next.SUBMIT, transfer.completed(512));
        assertEquals(START + 512, transfer.offsetBytes());
        assertEquals(SIZE - 512, transfer.costBytes());
        assertEquals(Next.SUBMIT, transfer.completed(-Errno.EINTR));
        assertEquals(START + 512, transfer.offsetBytes());
        assertEquals(List.of(), transfer.outcomes);
        assertEquals(Next.NONE, transfer.completed(SIZE - 512));
        assertEquals(List.of(DiskImage.DONE), transfer.outcomes);
    }

    @ParameterizedTest
    @ValueSource(ints = {BlkifOp.READ, BlkifOp.WRITE})
    void whatTheKernelCannotDoAThreadDoes(int operation) {
        for (int errno : new int[] {Errno.EINVAL, Errno.EAGAIN}) {
            Transfer transfer = new Transfer(disk, operation);
            assertEquals(Next.SUBMIT, transfer.completed(512));
            assertEquals(Next.RUN, transfer.completed(-errno));
            assertEquals(List.of(), transfer.outcomes);
            transfer.run();
            assertEquals(List.of(DiskImage.DONE), transfer.outcomes);
            assertEquals(0, transfer.vector.remainingBytes());
        }
        assertTrue(disk.failure().isEmpty());
    }

    /// The end of the file, an error, and more than there was room for.
    @ParameterizedTest
    @ValueSource(ints = {0, -Errno.EIO, SIZE + 1})
    void aReadThatFailsEndsOnceAndFailsNoDisk(int result) {
        Transfer transfer = new Transfer(disk, BlkifOp.READ);
        assertEquals(Next.NONE, transfer.completed(result));
        assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
        assertTrue(disk.failure().isEmpty());
    }

    @Test
    void aReadThatEndsInTheMiddleFails() {
        Transfer transfer = new Transfer(disk, BlkifOp.READ);
        assertEquals(Next.SUBMIT, transfer.completed(512));
        assertEquals(Next.NONE, transfer.completed(0));
        assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -Errno.EIO, -Errno.ENOSPC})
    void aWriteThatFailsFailsTheDisk(int result) {
        Transfer transfer = new Transfer(disk, BlkifOp.WRITE);
        assertEquals(Next.NONE, transfer.completed(result));
        assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
        String expected = Errno.describe(result == 0 ? Errno.EIO : -result);
        assertTrue(disk.failure().orElseThrow().toString().contains(expected));
    }

    @Test
    void aWriteOfMoreThanThereWasEndsOnce() {
        Transfer transfer = new Transfer(disk, BlkifOp.WRITE);
        assertEquals(Next.NONE, transfer.completed(SIZE + 1));
        assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
    }

    /// Its last byte counts, not where the rest of it began.
    @Test
    void aWriteThatIsBehindANewEndFails() throws Exception {
        Path file = Files.write(folder.resolve("disk.img"), new byte[8192]);
        try (DiskImage image = DiskImage.open(file, DiskMode.WRITEBACK)) {
            Transfer transfer = new Transfer(image, BlkifOp.WRITE);
            assertEquals(Next.SUBMIT, transfer.completed(512));
            image.resize(START + SIZE - 512);
            assertEquals(Next.NONE, transfer.completed(SIZE - 512));
            assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
            assertTrue(image.failure().isEmpty());
        }
    }

    private static final class PlainStore extends MemoryStore {
        private final @Nullable VectoredFile forReads;
        private final @Nullable VectoredFile forWrites;

        PlainStore(
                @Nullable VectoredFile forReads,
                @Nullable VectoredFile forWrites,
                boolean readOnly) {
            super(8192, readOnly);
            this.forReads = forReads;
            this.forWrites = forWrites;
        }

        @Override
        public @Nullable VectoredFile plainFile(boolean write) {
            return write ? forWrites : forReads;
        }

        @Override
        public boolean writesAlone() {
            return true;
        }
    }

    @Test
    void theKernelWritesNoDiskThatTakesNoWrites() throws Exception {
        Path path = Files.write(folder.resolve("disk.img"), new byte[8192]);
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE)) {
            DiskImage well = of(new PlainStore(file, file, false));
            DiskImage readOnly = of(new PlainStore(file, file, true));
            DiskImage failed = of(new PlainStore(file, file, false));
            assertEquals(DiskImage.FAILED, failed.written(512, Errno.EIO));
            for (DiskImage image : List.of(well, readOnly, failed)) {
                boolean writes = image.equals(well);
                assertTrue(new Transfer(image, BlkifOp.READ).isPlain());
                assertEquals(writes, new Transfer(image, BlkifOp.WRITE).isPlain());
                assertEquals(writes, new Transfer(image, BlkifOp.WRITE_BARRIER).isPlain());
                assertEquals(writes, new Transfer(image, BlkifOp.FLUSH_DISKCACHE).isPlain());
                assertFalse(new Transfer(image, BlkifOp.DISCARD).isPlain());
            }
            DiskImage forReads = of(new PlainStore(file, null, false));
            assertTrue(new Transfer(forReads, BlkifOp.READ).isPlain());
            assertFalse(new Transfer(forReads, BlkifOp.WRITE).isPlain());
            DiskImage forWrites = of(new PlainStore(null, file, false));
            assertFalse(new Transfer(forWrites, BlkifOp.READ).isPlain());
            assertTrue(new Transfer(forWrites, BlkifOp.WRITE).isPlain());
        }
    }

    @Test
    void writesAreAloneWhereTheStoreWantsIt() throws Exception {
        Path path = Files.write(folder.resolve("disk.img"), new byte[8192]);
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE)) {
            DiskImage lonely = of(new PlainStore(file, file, false));
            assertTrue(new Transfer(lonely, BlkifOp.WRITE).isAlone());
            assertTrue(new Transfer(lonely, BlkifOp.FLUSH_DISKCACHE).isAlone());
            assertFalse(new Transfer(lonely, BlkifOp.READ).isAlone());
            assertFalse(new Transfer(lonely, BlkifOp.DISCARD).isAlone());
        }
        assertFalse(new Transfer(disk, BlkifOp.WRITE).isAlone());
    }

    @ParameterizedTest
    @ValueSource(ints = {BlkifOp.READ, BlkifOp.WRITE, BlkifOp.DISCARD})
    void aMistakeOfTheStoreIsAnError(int operation) {
        DiskImage mistaken =
                of(
                        new MemoryStore(8192) {
                            @Override
                            public long read(IoVector into, long offsetBytes) {
                                throw new IllegalStateException("a mistake");
                            }

                            @Override
                            public void write(IoVector from, long offsetBytes) {
                                throw new AssertionError("a mistake");
                            }

                            @Override
                            public void discard(long offsetBytes, long sizeBytes)
                                    throws IOException {
                                throw new IllegalStateException("a mistake");
                            }
                        });
        Transfer transfer = new Transfer(mistaken, operation);
        transfer.run();
        assertEquals(List.of(DiskImage.FAILED), transfer.outcomes);
    }

    @Test
    void outcomesHaveTheirStatus() {
        assertEquals(BlkifStatus.OKAY, ImageTransfer.statusOf(DiskImage.DONE));
        assertEquals(BlkifStatus.ERROR, ImageTransfer.statusOf(DiskImage.FAILED));
        assertEquals(BlkifStatus.EOPNOTSUPP, ImageTransfer.statusOf(DiskImage.NOT_SUPPORTED));
    }

    @Test
    void manyEndsWakeTheLoopOnceAndComeInTheirOrder() {
        List<Runnable> woken = new ArrayList<>();
        Runnable task = () -> {};
        FinishedTransfers finished = new FinishedTransfers(woken::add, task);
        assertNull(finished.takeAll());
        for (int round = 1; round < 3; round++) {
            List<ImageTransfer> all = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                all.add(new Transfer(disk, BlkifOp.READ));
                finished.add(all.getLast());
            }
            assertEquals(round, woken.size());
            assertSame(task, woken.getLast());
            ImageTransfer next = finished.takeAll();
            for (ImageTransfer each : all) {
                assertSame(each, next);
                next = each.nextFinished;
            }
            assertNull(next);
            assertNull(finished.takeAll());
        }
    }

    @Test
    void nothingIsLostHoweverManyEndAtOnce() throws Exception {
        int threads = 4;
        int each = 10_000;
        CountDownLatch begin = new CountDownLatch(1);
        AtomicInteger woken = new AtomicInteger();
        FinishedTransfers finished =
                new FinishedTransfers(work -> woken.incrementAndGet(), () -> {});
        int taken = 0;
        try (ExecutorService workers = Executors.newFixedThreadPool(threads)) {
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                Transfer[] transfers = new Transfer[each];
                Arrays.setAll(transfers, k -> new Transfer(disk, BlkifOp.READ));
                all.add(
                        workers.submit(
                                () -> {
                                    begin.await();
                                    Arrays.asList(transfers).forEach(finished::add);
                                    return null;
                                }));
            }
            begin.countDown();
            boolean over = false;
            while (!over) {
                over = all.stream().allMatch(Future::isDone); // and then looks once more
                ImageTransfer next = finished.takeAll();
                while (next != null) {
                    taken++;
                    next = next.nextFinished;
                }
            }
            for (Future<?> one : all) {
                one.get();
            }
        }
        assertEquals(threads * each, taken);
        assertTrue(woken.get() > 0);
    }

    /// Whoever does the work has more to do.
    @Test
    void aLoopThatHasEndedIsNoErrorOfTheWorker() {
        FinishedTransfers finished =
                new FinishedTransfers(
                        work -> {
                            throw new RejectedExecutionException("ended");
                        },
                        () -> {});
        Transfer transfer = new Transfer(disk, BlkifOp.READ);
        finished.add(transfer);
        assertSame(transfer, finished.takeAll());
    }
}
