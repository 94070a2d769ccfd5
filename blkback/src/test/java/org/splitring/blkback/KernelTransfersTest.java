package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.HostFile;
import org.splitring.hypervisor.linux.IoUring;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifStatus;

/// Transfers that wait, left to `io_uring`.
@Timeout(120)
class KernelTransfersTest {
    private static final long SEED = Long.getLong("splitring.seed", 20_261_127L);
    private static final int SIZE = 4 << 20;

    @TempDir Path folder;

    @BeforeEach
    void kernelLetsUs() throws Exception {
        try (DiskWorkers workers = new DiskWorkers(1)) {
            assumeTrue(
                    workers.awaitEngine() == DiskEngine.IO_URING,
                    "this kernel lets nobody use io_uring (sysctl kernel.io_uring_disabled)");
        }
    }

    private byte[] makeImage() throws Exception {
        byte[] bytes = new byte[SIZE];
        new Random(SEED).nextBytes(bytes);
        Files.write(image(), bytes);
        return bytes;
    }

    private Path image() {
        return folder.resolve("disk.img");
    }

    private interface Work {
        void with(ColdStore store, DiskImage disk, ConnectedVbd front) throws Exception;
    }

    /// Serves the image, with what the kernel does done to `plain`.
    private void serve(VectoredFile plain, Work work) throws Exception {
        FileStore file = FileStore.open(image(), DiskAccess.READ_WRITE, false);
        ColdStore store = new ColdStore(file, plain);
        try (plain;
                DiskImage disk = DiskImage.owning(store, DiskMode.WRITEBACK);
                VbdLab lab = new VbdLab()) {
            assertEquals(DiskEngine.IO_URING, lab.workers.awaitEngine());
            try (ServedVbd back = lab.backend(disk);
                    ConnectedVbd front = lab.frontend(2)) {
                work.with(store, disk, front);
                assertTrue(back.metrics().rdReq() + back.metrics().wrReq() > 0);
            }
        }
    }

    private VectoredFile plain(OpenFlag... flags) throws Exception {
        return VectoredFile.open(image(), flags);
    }

    @Test
    void noThreadIsNeededAndEveryByteIsRight() throws Exception {
        byte[] bytes = makeImage();
        serve(
                plain(OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING),
                (store, disk, front) -> {
                    // Each of four has a quarter of the disk, so that it knows what is there.
                    try (ExecutorService users = Executors.newVirtualThreadPerTaskExecutor()) {
                        List<Future<?>> all = new ArrayList<>();
                        for (int i = 0; i < 4; i++) {
                            int from = i * (SIZE / 4);
                            Random random = new Random(SEED + i);
                            all.add(users.submit(() -> use(front, bytes, from, random)));
                        }
                        for (Future<?> each : all) {
                            each.get();
                        }
                    }
                    assertEquals(0, VbdLab.flush(front));
                    assertEquals(0, store.byThreads.get());
                });
        assertArrayEquals(bytes, Files.readAllBytes(image()));
    }

    private static void use(ConnectedVbd front, byte[] bytes, int from, Random random) {
        for (int i = 0; i < 300; i++) {
            int sectors = 1 + random.nextInt(128);
            int start = from + 512 * random.nextInt(SIZE / 4 / 512 - sectors);
            byte[] data = new byte[512 * sectors];
            if (random.nextBoolean()) {
                random.nextBytes(data);
                assertEquals(0, VbdLab.write(front, start, data));
                System.arraycopy(data, 0, bytes, start, data.length);
            } else {
                assertEquals(0, VbdLab.read(front, start, data));
                assertArrayEquals(Arrays.copyOfRange(bytes, start, start + data.length), data);
            }
        }
    }

    /// The file has become shorter under us: an error for what is gone, and for nothing else.
    @Test
    void whatIsBehindTheEndOfTheFileIsAnError() throws Exception {
        byte[] bytes = makeImage();
        serve(
                plain(),
                (store, disk, front) -> {
                    try (var file = FileChannel.open(image(), StandardOpenOption.WRITE)) {
                        file.truncate(SIZE / 2 + 2048);
                    }
                    byte[] data = new byte[4096];
                    assertEquals(
                            BlkifStatus.ERROR, VbdLab.read(front, SIZE / 2, data), "half of it");
                    assertEquals(BlkifStatus.ERROR, VbdLab.read(front, SIZE - 4096, data));
                    assertEquals(0, VbdLab.read(front, SIZE / 2 - 4096, data));
                    assertArrayEquals(Arrays.copyOfRange(bytes, SIZE / 2 - 4096, SIZE / 2), data);
                    assertTrue(disk.failure().isEmpty(), "a read that fails loses nothing");
                });
    }

    @Test
    void aWriteThatTheKernelRefusesFailsTheDisk() throws Exception {
        makeImage();
        Work work =
                (store, disk, front) -> {
                    byte[] data = new byte[4096];
                    assertEquals(BlkifStatus.ERROR, VbdLab.write(front, 0, data));
                    assertTrue(disk.failure().orElseThrow().toString().contains("EBADF"));
                    assertEquals(BlkifStatus.ERROR, VbdLab.flush(front));
                    assertEquals(BlkifStatus.ERROR, VbdLab.write(front, 0, data));
                    assertEquals(0, VbdLab.read(front, 0, data), "reads go on");
                };
        // Open for reading alone. Closing says that something may be lost.
        DiskException lost = assertThrows(DiskException.class, () -> serve(plain(), work));
        assertTrue(String.valueOf(lost.getMessage()).contains("EBADF"), lost.getMessage());
    }

    @Test
    void nothingIsLeftToTheKernelThatAFailedDiskMayNotWrite() throws Exception {
        byte[] bytes = makeImage();
        FileStore file = FileStore.open(image(), DiskAccess.READ_WRITE, false);
        try (VectoredFile plain = plain(OpenFlag.READ_WRITE);
                VbdLab lab = new VbdLab();
                ColdStore store =
                        new ColdStore(file, plain) {
                            @Override
                            public void sync() throws IOException {
                                throw new IOException("the device is gone");
                            }
                        }) {
            assertEquals(DiskEngine.IO_URING, lab.workers.awaitEngine());
            DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
            try (ServedVbd back = lab.backend(disk);
                    ConnectedVbd front = lab.frontend(0)) {
                store.beforeTransfer = () -> disk.flush(stable -> assertFalse(stable));
                assertEquals(BlkifStatus.ERROR, VbdLab.write(front, 0, new byte[4096]));
                assertTrue(disk.failure().isPresent());
                assertEquals(1, back.metrics().errors());
            }
        }
        assertArrayEquals(bytes, Files.readAllBytes(image()));
    }

    /// A write that comes to its end when the disk has become smaller leaves nothing behind it.
    @Test
    void aWriteBehindANewEndIsCutOff() throws Exception {
        makeImage();
        serve(
                plain(OpenFlag.READ_WRITE),
                (store, disk, front) -> {
                    store.beforeTransfer = () -> cut(store);
                    assertEquals(
                            BlkifStatus.ERROR, VbdLab.write(front, SIZE - 4096, new byte[4096]));
                    assertEquals(SIZE / 2, Files.size(image()));
                });
    }

    private static void cut(ColdStore store) {
        try {
            store.resize(SIZE / 2);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Work that says it cannot be done this way, once or for a while.
    private static final class Stubborn implements DiskTransfer {
        private final VectoredFile file;
        private final List<String> told;
        private final CountDownLatch ended;
        private int submissions;
        private final MemorySegment memory = Arena.ofAuto().allocate(512, 8);
        private final IoVector vector = new IoVector(1);

        Stubborn(VectoredFile file, List<String> told, CountDownLatch ended) {
            this.file = file;
            this.told = told;
            this.ended = ended;
            vector.add(memory, 0, 512);
        }

        @Override
        public boolean isPlain() {
            return true;
        }

        @Override
        public boolean isAlone() {
            return false;
        }

        @Override
        public void submit(IoUring ring, long token) {
            submissions++;
            ring.read(file, vector, 0, token);
        }

        @Override
        public Next completed(int result) {
            told.add(submissions + ": " + result);
            return submissions < 3 ? Next.SUBMIT : Next.RUN;
        }

        @Override
        public long costBytes() {
            return 512;
        }

        @Override
        public void run() {
            told.add(Thread.currentThread().getName().startsWith("disk-") ? "thread" : "who?");
            ended.countDown();
        }
    }

    @Test
    void whatTheKernelCannotDoIsTriedAgainOrGoesToAThread() throws Exception {
        makeImage();
        List<String> told = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch ended = new CountDownLatch(1);
        try (VectoredFile file = plain();
                DiskWorkers workers = new DiskWorkers(1)) {
            assertEquals(DiskEngine.IO_URING, workers.awaitEngine());
            workers.share(100).execute(new Stubborn(file, told, ended));
            assertTrue(ended.await(20, TimeUnit.SECONDS));
        }
        assertEquals(List.of("1: 512", "2: 512", "3: 512", "thread"), told);
    }

    @Test
    void closingWaitsForEverythingAndThenThereIsNone() throws Exception {
        makeImage();
        List<String> told = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch ended = new CountDownLatch(1000);
        WorkShare share;
        try (VectoredFile file = plain();
                DiskWorkers workers = new DiskWorkers(1)) {
            assertEquals(DiskEngine.IO_URING, workers.awaitEngine());
            share = workers.share(100);
            for (int i = 0; i < 1000; i++) {
                share.execute(new Stubborn(file, told, ended));
            }
        }
        assertEquals(0, ended.getCount());
        assertEquals(4000, told.size());
    }

    /// Which way a transfer of a raw image goes.
    @Test
    void writesToThePageCacheAreLeftToAThreadAndComeOneByOne() throws Exception {
        makeImage();
        boolean inMemory = Files.getFileStore(folder).type().equals("tmpfs");
        try (FileStore file = FileStore.open(image(), DiskAccess.READ_WRITE, false)) {
            assertEquals(inMemory, file.plainFile(false) == null);
            assertNull(file.plainFile(true));
            assertEquals(!inMemory, file.writesAlone());
        }
        try (FileStore synchronous = FileStore.open(image(), DiskAccess.READ_WRITE, true)) {
            assertFalse(synchronous.writesAlone(), "they wait for storage, side by side");
        }
        FileStore opened;
        try {
            opened = FileStore.of(HostFile.openDirect(image(), DiskAccess.READ_WRITE));
        } catch (DiskException e) {
            return; // a file system without direct access
        }
        try (FileStore direct = opened) {
            assertEquals(inMemory, direct.plainFile(true) == null);
            assertFalse(direct.writesAlone());
        }
    }

    @Test
    void threadsDoEverythingWhereThatIsWanted() throws Exception {
        makeImage();
        try (DiskWorkers workers = new DiskWorkers(1, DiskEngine.THREADS)) {
            assertEquals(DiskEngine.THREADS, workers.awaitEngine());
            CountDownLatch ended = new CountDownLatch(1);
            List<String> told = Collections.synchronizedList(new ArrayList<>());
            try (VectoredFile file = plain()) {
                workers.share(100).execute(new Stubborn(file, told, ended));
                assertTrue(ended.await(20, TimeUnit.SECONDS));
            }
            assertEquals(List.of("thread"), told);
        }
    }
}
