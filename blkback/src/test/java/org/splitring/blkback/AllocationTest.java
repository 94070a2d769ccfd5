package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.blkback.image.OpenImages;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;

/// In steady state no byte is allocated for a request that the page cache serves, in either half:
/// both run on one loop here, in this thread.
@Timeout(240)
class AllocationTest {
    private static final int DEPTH = 16;
    private static final int SIZE = 16384;

    /// Asking for the counter may allocate a little itself; thousands of requests may not.
    private static final long FEW_BYTES = 1024;

    /// Keeps `DEPTH` transfers going for ever; each end starts the next one.
    private static final class Load implements Completion {
        private final ConnectedVbd front;
        private final boolean writes;
        private final int size;
        private final int depth;
        private final GuestBuffer[] buffers;
        long started;
        long ended;
        long errors;
        long limit;

        Load(ConnectedVbd front, boolean writes, int size) {
            this.front = front;
            this.writes = writes;
            this.size = size;
            depth = Math.min(DEPTH, (4 << 20) / size);
            buffers = new GuestBuffer[depth];
            for (int i = 0; i < depth; i++) {
                GuestBuffer buffer = front.acquire(size);
                if (buffer == null) {
                    throw new AssertionError("no buffer");
                }
                buffers[i] = buffer;
            }
        }

        void start() {
            GuestBuffer buffer = buffers[(int) (started % depth)];
            long offset = started % 60 * SIZE % ((1 << 20) - size + 1) / 512 * 512;
            started++;
            if (writes) {
                front.write(offset, buffer, size, this);
            } else {
                front.read(offset, buffer, size, this);
            }
        }

        @Override
        public void done(int blkifStatus) {
            ended++;
            errors += blkifStatus == 0 ? 0 : 1;
            if (started < limit) {
                start();
            }
        }

        void run(PumpedLoop loop, int transfers) {
            limit = started + transfers;
            for (int i = 0; i < depth; i++) {
                start();
            }
            while (ended < started || started < limit) {
                loop.pump();
            }
        }
    }

    /// By this thread and the workers.
    private static long allocatedBytes(DiskWorkers workers) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long sum = threads.getThreadAllocatedBytes(Thread.currentThread().threadId());
        for (Thread thread : workers.threads()) {
            sum += threads.getThreadAllocatedBytes(thread.threadId());
        }
        return sum;
    }

    /// What `work` allocates once it is compiled for good. Until then it does allocate, and on a
    /// busy machine what runs once for many requests is compiled late: only work that goes on
    /// allocating takes the whole time.
    private static long leastBytes(Runnable work, DiskWorkers workers) {
        work.run();
        work.run();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);
        long least = Long.MAX_VALUE;
        while (least >= FEW_BYTES && System.nanoTime() < end) {
            long before = allocatedBytes(workers);
            work.run();
            least = Math.min(least, allocatedBytes(workers) - before);
        }
        return least;
    }

    private static void measure(DiskImage disk, boolean writes, boolean inline) throws Exception {
        measure(disk, writes, inline, SIZE, 20_000);
    }

    private static void measure(
            DiskImage disk, boolean writes, boolean inline, int size, int transfers)
            throws Exception {
        measure(disk, writes, inline, size, transfers, VbdFrontendOptions.DEFAULT);
    }

    private static void measure(
            DiskImage disk,
            boolean writes,
            boolean inline,
            int size,
            int transfers,
            VbdFrontendOptions options)
            throws Exception {
        try (DiskWorkers workers = new DiskWorkers(2)) {
            measure(disk, writes, inline, size, transfers, options, workers);
        }
    }

    private static void measure(
            DiskImage disk,
            boolean writes,
            boolean inline,
            int size,
            int transfers,
            VbdFrontendOptions options,
            DiskWorkers workers)
            throws Exception {
        PumpedLoop loop = new PumpedLoop();
        try (VbdLab lab = new VbdLab()) {
            ServedVbd back =
                    ServedVbd.create(
                            lab.driver,
                            lab.toolstack,
                            VbdLab.GUEST,
                            VbdLab.XVDA,
                            disk,
                            loop,
                            VbdBackendOptions.of(workers),
                            ServedVbd.LIFECYCLE);
            CompletableFuture<ConnectedVbd> connecting =
                    CompletableFuture.supplyAsync(
                            () -> {
                                try {
                                    return ConnectedVbd.connect(
                                            lab.guest,
                                            lab.guestStore,
                                            VbdLab.XVDA,
                                            loop,
                                            options.withRingPageOrder(1),
                                            FrontendOptions.DEFAULT);
                                } catch (HandshakeException e) {
                                    throw new IllegalStateException(e);
                                }
                            });
            loop.pumpUntil(connecting::isDone);
            ConnectedVbd front = connecting.join();
            Load load = new Load(front, writes, size);
            long least = leastBytes(() -> load.run(loop, transfers), workers);
            assertEquals(0, load.errors);
            VbdMetrics metrics = back.metrics();
            assertEquals(load.ended, writes ? metrics.wrReq() : metrics.rdReq());
            assertEquals(inline ? load.ended : 0, metrics.inline(), "on the loop");
            assertTrue(least < FEW_BYTES, "bytes for " + transfers + " requests: " + least);
            CompletableFuture<Void> closing =
                    CompletableFuture.runAsync(
                            () -> {
                                front.close();
                                back.close();
                            });
            loop.pumpUntil(closing::isDone);
            closing.join();
        }
    }

    @Test
    void readsOfAFileInTheCacheAllocateNothing() throws Exception {
        Path folder = Path.of("/dev/shm");
        Assumptions.assumeTrue(Files.isWritable(folder), "needs /dev/shm");
        Path file = Files.createTempFile(folder, "splitring", ".img");
        try {
            Files.write(file, new byte[1 << 20]);
            try (DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
                measure(disk, false, true);
            }
        } finally {
            Files.delete(file);
        }
    }

    /// More of them than may be under way at once, in either half.
    @Test
    void indirectRequestsAllocateNothing() throws Exception {
        MemoryStore store = new MemoryStore(1 << 20);
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        measure(disk, true, true, 256 << 10, 3_000);
        measure(disk, false, true, 256 << 10, 3_000);
    }

    @Test
    void persistentGrantsAllocateNothing() throws Exception {
        MemoryStore store = new MemoryStore(1 << 20);
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        VbdFrontendOptions options = VbdFrontendOptions.DEFAULT.withPersistentGrants(true);
        measure(disk, false, true, 512 << 10, 1_000, options);
    }

    /// Clusters that the image has for itself: their tables are in memory.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aQcow2ImageInTheCacheAllocatesNothing(boolean writes) throws Exception {
        Path folder = Path.of("/dev/shm");
        Assumptions.assumeTrue(Files.isWritable(folder), "needs /dev/shm");
        Path file = Files.createTempFile(folder, "splitring", ".qcow2");
        Files.delete(file);
        FileSource source = new FileSource(ImageFormat.QCOW2, file);
        try {
            ImageFiles.create(source, 1 << 20, ImageFiles.defaultClusterBytes());
            BackingFolders folders = BackingFolders.ownOnly();
            try (BlockStore store =
                    OpenImages.open(source, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, folders)) {
                store.write(wholeDisk(), 0);
                store.sync();
            }
            try (DiskImage disk =
                    DiskImage.open(source, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, folders)) {
                assertEquals(DiskImage.DONE, disk.read(wholeDisk(), 0), "its tables are in memory");
                measure(disk, writes, true);
            }
        } finally {
            Files.deleteIfExists(file);
        }
    }

    private static IoVector wholeDisk() {
        IoVector vector = new IoVector(1);
        vector.add(Arena.ofAuto().allocate(1 << 20, 4096), 0, 1 << 20);
        return vector;
    }

    @Test
    void writesAllocateNothing() throws Exception {
        MemoryStore store = new MemoryStore(1 << 20);
        measure(DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run), true, true);
    }

    /// A file system that cannot say whether it would wait, as ext4 for writes: every request goes
    /// to a worker and comes back.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theWayOverTheWorkersAllocatesNothing(boolean writes) throws Exception {
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) {
                        return WOULD_BLOCK;
                    }

                    @Override
                    public long writeNoWait(IoVector from, long offsetBytes) {
                        return WOULD_BLOCK;
                    }
                };
        measure(DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run), writes, false);
    }

    /// As above with a real file, also one whose writes are synchronous (`O_DSYNC`).
    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aFileOverTheWorkersAllocatesNothing(boolean synchronous, boolean writes) throws Exception {
        Path folder = Path.of("/dev/shm");
        Assumptions.assumeTrue(Files.isWritable(folder), "needs /dev/shm");
        Path file = Files.createTempFile(folder, "splitring", ".img");
        try {
            Files.write(file, new byte[1 << 20]);
            try (FileStore real = FileStore.open(file, DiskAccess.READ_WRITE, synchronous);
                    ColdStore store = new ColdStore(real, null)) {
                measure(DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run), writes, false);
            }
        } finally {
            Files.delete(file);
        }
    }

    /// Keeps reads and writes of an image going without ring and guest.
    private static final class LocalLoad {
        private final PumpedLoop loop = new PumpedLoop();
        private final LocalDisk<LocalLoad> disk;
        private final MemorySegment memory = Arena.ofAuto().allocate(SIZE, 4096);
        private long started;
        private long ended;
        private long errors;

        LocalLoad(DiskImage image, WorkShare workers) {
            disk = new LocalDisk<>(image, workers, loop, LocalLoad::answered);
        }

        private void answered(int blkifStatus) {
            ended++;
            errors += blkifStatus == 0 ? 0 : 1;
        }

        void run(boolean writes, int transfers) {
            for (int i = 0; i < transfers; i++) {
                long offset = started++ % 60 * SIZE;
                if (writes) {
                    disk.write(offset, memory, SIZE, this);
                } else {
                    disk.read(offset, memory, SIZE, this);
                }
                while (started - ended == DEPTH) {
                    loop.pump();
                }
            }
            while (ended < started) {
                loop.pump();
            }
        }
    }

    /// At once, and over the workers.
    @ParameterizedTest
    @CsvSource({"false, true", "true, true", "false, false", "true, false"})
    void aLocalDiskAllocatesNothing(boolean writes, boolean inline) {
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
                        return inline ? super.readNoWait(into, offsetBytes) : WOULD_BLOCK;
                    }

                    @Override
                    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
                        return inline ? super.writeNoWait(from, offsetBytes) : WOULD_BLOCK;
                    }
                };
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        int transfers = 20_000;
        try (DiskWorkers workers = new DiskWorkers(2)) {
            LocalLoad load = new LocalLoad(disk, workers.share(WorkShares.DEFAULT_WEIGHT));
            long least = leastBytes(() -> load.run(writes, transfers), workers);
            assertEquals(0, load.errors);
            assertTrue(least < FEW_BYTES, "bytes for " + transfers + " requests: " + least);
        }
    }

    /// Past the page cache.
    @ParameterizedTest
    @CsvSource({
        "THREADS, false",
        "THREADS, true",
        "IO_URING, false",
        "IO_URING, true",
    })
    void aDirectFileAllocatesNothing(DiskEngine engine, boolean writes) throws Exception {
        Path file = Files.createTempFile("splitring", ".img");
        try (DiskWorkers workers = new DiskWorkers(2, engine)) {
            Assumptions.assumeTrue(
                    workers.awaitEngine() == engine,
                    "this kernel lets nobody use io_uring (sysctl kernel.io_uring_disabled)");
            Files.write(file, new byte[1 << 20]);
            try (DiskImage disk = openDirect(file)) {
                measure(disk, writes, false, SIZE, 5_000, VbdFrontendOptions.DEFAULT, workers);
            }
        } finally {
            Files.delete(file);
        }
    }

    private static DiskImage openDirect(Path file) {
        try {
            return DiskImage.open(file, DiskMode.DIRECT);
        } catch (DiskException e) {
            Assumptions.abort("the temporary folder's file system: " + e.getMessage());
            throw new AssertionError(e);
        }
    }

    /// As above, left to the kernel.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theWayOverIoUringAllocatesNothing(boolean writes) throws Exception {
        Path file = Files.createTempFile("splitring", ".img");
        try (DiskWorkers workers = new DiskWorkers(1)) {
            Assumptions.assumeTrue(
                    workers.awaitEngine() == DiskEngine.IO_URING,
                    "this kernel lets nobody use io_uring (sysctl kernel.io_uring_disabled)");
            Files.write(file, new byte[1 << 20]);
            try (VectoredFile plain = VectoredFile.open(file, OpenFlag.READ_WRITE);
                    ColdStore store =
                            new ColdStore(
                                    FileStore.open(file, DiskAccess.READ_WRITE, false), plain)) {
                measure(DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run), writes, false);
                assertEquals(0, store.byThreads.get());
            }
        } finally {
            Files.delete(file);
        }
    }
}
