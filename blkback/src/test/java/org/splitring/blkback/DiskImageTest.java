package org.splitring.blkback;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.io.SyncFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FaultyFile;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.HostFile;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;

class DiskImageTest {
    @TempDir Path folder;

    private Path image(int sizeBytes) throws IOException {
        return Files.write(folder.resolve("disk.img"), new byte[sizeBytes]);
    }

    private static String refused(Path path, DiskAccess access) {
        DiskException e =
                assertThrows(
                        DiskException.class,
                        () -> DiskImage.open(path, access, DiskMode.WRITEBACK));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains(path.toString()), message);
        assertFalse(message.contains("\n"), message);
        return message;
    }

    private static IoVector vector(int sizeBytes) {
        MemorySegment memory = Arena.ofAuto().allocate(sizeBytes);
        IoVector vector = new IoVector(1);
        vector.add(memory, 0, sizeBytes);
        return vector;
    }

    @Test
    void whatIsNoImageIsRefusedInOneLine() throws IOException {
        assertTrue(refused(folder, DiskAccess.READ_ONLY).contains("folder"));
        assertTrue(refused(folder, DiskAccess.READ_WRITE).contains("folder"));
        assertTrue(
                refused(folder.resolve("none.img"), DiskAccess.READ_WRITE)
                        .contains("no such file"));
        assertTrue(refused(image(513), DiskAccess.READ_WRITE).contains("513 bytes"));
        assertTrue(refused(image(0), DiskAccess.READ_WRITE).contains("0 bytes"));
        assertTrue(
                refused(Path.of("/dev/null"), DiskAccess.READ_WRITE).contains("character device"));
    }

    private static IoVector vectorAt(MemorySegment memory, long offset, long sizeBytes) {
        IoVector vector = new IoVector(1);
        vector.add(memory, offset, sizeBytes);
        return vector;
    }

    /// How many bytes of a file are in the page cache.
    private static long cachedBytes(Path file) throws Exception {
        return Long.parseLong(output("fincore", "-b", "-n", "-o", "RES", file.toString()));
    }

    private static String output(String tool, String... arguments) throws Exception {
        List<String> line = new ArrayList<>(List.of(tool));
        line.addAll(List.of(arguments));
        Process process = new ProcessBuilder(line).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
        assertEquals(0, process.waitFor(), said);
        return said;
    }

    @Test
    void directTransfersLeaveThePageCacheAlone() throws Exception {
        // In the build's folder: temporary ones may be in memory.
        Path file = Files.createTempFile(Path.of("target").toAbsolutePath(), "direct", ".img");
        try {
            Files.write(file, new byte[1 << 20]);
            MemorySegment memory = Arena.ofAuto().allocate(8192, 4096).fill((byte) 7);
            assumeFalse(
                    Files.getFileStore(file).type().equals("tmpfs"),
                    "the build's folder is on a tmpfs, which is all cache");
            try (HostFile plain = HostFile.open(file, DiskAccess.READ_WRITE, false)) {
                plain.sync();
            }
            output("dd", "of=" + file, "oflag=nocache", "conv=notrunc", "count=0");
            assertEquals(0, cachedBytes(file), "dd has not emptied the cache");
            try (DiskImage disk = DiskImage.open(file, DiskMode.DIRECT)) {
                assertEquals(DiskImage.WOULD_BLOCK, disk.tryRead(vector(4096), 4096));
                assertEquals(DiskImage.WOULD_BLOCK, disk.tryWrite(vector(4096), 4096));
                assertEquals(DiskImage.DONE, disk.write(vectorAt(memory, 0, 4096), 4096));
                assertEquals(DiskImage.DONE, disk.read(vectorAt(memory, 4096, 4096), 8192));
                assertEquals(0, memory.get(ValueLayout.JAVA_BYTE, 4096));
            }
            assertEquals(0, cachedBytes(file));
            try (HostFile plain = HostFile.open(file, DiskAccess.READ_ONLY, false)) {
                plain.read(vectorAt(memory, 4096, 4096), 4096);
            }
            assertEquals(7, memory.get(ValueLayout.JAVA_BYTE, 8191));
            assertTrue(cachedBytes(file) > 0, "the check itself finds nothing");
        } finally {
            Files.delete(file);
        }
    }

    /// Memory at an odd address, as no storage takes it: through the cache, but done.
    @Test
    void directTransfersOfWhatStorageDoesNotTakeAreDoneAllTheSame() throws Exception {
        Path file = image(1 << 20);
        MemorySegment memory = Arena.ofAuto().allocate(8192, 4096);
        memory.asSlice(1, 1024).fill((byte) 9);
        try (DiskImage disk = DiskImage.open(file, DiskMode.DIRECT)) {
            assertEquals(DiskImage.DONE, disk.write(vectorAt(memory, 1, 1024), 512));
            assertEquals(DiskImage.DONE, disk.read(vectorAt(memory, 4099, 1536), 0));
            assertEquals(0, memory.get(ValueLayout.JAVA_BYTE, 4099 + 511));
            assertEquals(9, memory.get(ValueLayout.JAVA_BYTE, 4099 + 512));
            assertEquals(9, memory.get(ValueLayout.JAVA_BYTE, 4099 + 1535));
        }
        assertEquals(1 << 20, Files.size(file));
        assertEquals(9, Files.readAllBytes(file)[1535]);
        assertEquals(0, Files.readAllBytes(file)[1536]);
    }

    @Test
    void directIsForRawImagesOnly() throws Exception {
        Path file = folder.resolve("disk.qcow2");
        FileSource source = new FileSource(ImageFormat.QCOW2, file);
        ImageFiles.create(source, 1 << 20, 65536);
        DiskException e =
                assertThrows(
                        DiskException.class,
                        () ->
                                DiskImage.open(
                                        source,
                                        DiskAccess.READ_WRITE,
                                        DiskMode.DIRECT,
                                        BackingFolders.ownOnly()));
        assertEquals(
                "image " + file + ": mode direct is for raw images in files, and this is qcow2",
                e.getMessage());
    }

    /// The disk becomes smaller when a write has been begun, and its bytes come after that.
    @Test
    void h031_aWriteThatACutOvertakesFailsAndIsCutOff() throws Exception {
        Path file = image(8192);
        FaultyFile faulty = new FaultyFile(file);
        try (DiskImage disk = DiskImage.of(faulty.open(false), DiskMode.WRITEBACK, Runnable::run)) {
            for (int size : new int[] {6144, 4096, 512}) {
                faulty.setBeforeWrite(() -> cut(disk, size));
                assertEquals(DiskImage.FAILED, disk.write(vector(1024), size - 512));
                assertEquals(size, Files.size(file));
            }
            faulty.setBeforeWrite(() -> {});
            assertTrue(disk.failure().isEmpty());
            assertEquals(DiskImage.DONE, disk.write(vector(512), 0));
        }
    }

    private static void cut(DiskImage disk, int sizeBytes) {
        try {
            disk.resize(sizeBytes);
        } catch (DiskException e) {
            throw new AssertionError(e);
        }
    }

    /// The disk becomes smaller while writes that were checked before are under way.
    @Test
    void h031_writesUnderWayDoNotMakeASmallerDiskLongAgain() throws Exception {
        Path file = image(1 << 20);
        try (DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
            disk.resize(4096);
            // Checked when it had a mebibyte, done now.
            assertEquals(DiskImage.FAILED, disk.write(vector(4096), 8192));
            assertEquals(4096, Files.size(file));
            IoVector half = vector(4096);
            int outcome = disk.tryWrite(half, 2048);
            if (outcome == DiskImage.WOULD_BLOCK) { // some file systems do the half that fits
                outcome = disk.write(half, 2048 + 4096 - half.remainingBytes());
            }
            assertEquals(DiskImage.FAILED, outcome);
            assertEquals(4096, Files.size(file));
            assertEquals(DiskImage.FAILED, disk.read(vector(4096), 8192));
            assertTrue(disk.failure().isEmpty());
            assertEquals(DiskImage.DONE, disk.write(vector(4096), 0));
        }
        assertEquals(4096, Files.size(file));
    }

    @Test
    void aSecondWriterIsRefusedAndToldWho() throws IOException {
        Path file = image(4096);
        try (DiskImage first = DiskImage.open(file, DiskMode.WRITEBACK)) {
            assertTrue(refused(file, DiskAccess.READ_WRITE).contains("in use by this process"));
            assertTrue(refused(file, DiskAccess.READ_ONLY).contains("in use by this process"));
            assertEquals(8, first.sizeSectors());
        }
        try (DiskImage one = DiskImage.open(file, DiskAccess.READ_ONLY, DiskMode.WRITEBACK);
                DiskImage two = DiskImage.open(file, DiskAccess.READ_ONLY, DiskMode.WRITEBACK)) {
            assertTrue(one.readOnly() && two.readOnly());
            refused(file, DiskAccess.READ_WRITE);
            assertEquals(DiskImage.FAILED, one.tryWrite(vector(512), 0));
            assertEquals(DiskImage.FAILED, two.write(vector(512), 0));
            assertTrue(one.failure().isEmpty(), "a refused write is no failure of the disk");
        }
        DiskImage.open(file, DiskMode.WRITEBACK).close();
    }

    @Test
    void h031_anImageThatWasShortenedGivesErrorsAndNoFault() throws IOException {
        Path file = image(1 << 20);
        try (DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
            assertEquals(DiskImage.DONE, disk.read(vector(4096), (1 << 20) - 4096));
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(8192);
            }
            assertEquals(DiskImage.DONE, disk.read(vector(4096), 0));
            assertEquals(DiskImage.FAILED, disk.read(vector(4096), (1 << 20) - 4096));
            assertEquals(DiskImage.FAILED, disk.read(vector(8192), 4096), "half of it is gone");
            assertEquals(DiskImage.WOULD_BLOCK, disk.tryRead(vector(4096), 1 << 19));
            assertEquals(1 << 20, disk.sizeBytes());
        }
    }

    /// Has a size that changes, says what reaches it, and does what it is asked to.
    private static class WatchedStore extends MemoryStore {
        final List<String> calls = Collections.synchronizedList(new ArrayList<>());
        private volatile long size = 8192;
        private final boolean readOnly;

        WatchedStore() {
            this(false);
        }

        WatchedStore(boolean readOnly) {
            super(1 << 20);
            this.readOnly = readOnly;
        }

        /// @throws IOException in tests of what fails
        void happens(String call) throws IOException {
            calls.add(call);
        }

        @Override
        public boolean readOnly() {
            return readOnly;
        }

        @Override
        public long sizeBytes() {
            return size;
        }

        @Override
        public void write(IoVector from, long offsetBytes) throws IOException {
            happens("write " + offsetBytes);
            super.write(from, offsetBytes);
        }

        @Override
        public void discard(long offsetBytes, long sizeBytes) throws IOException {
            happens("discard " + offsetBytes);
        }

        @Override
        public void resize(long newSizeBytes) throws IOException {
            size = newSizeBytes;
            happens("resize " + newSizeBytes);
        }

        @Override
        public void sync() throws IOException {
            happens("sync");
        }

        @Override
        public void close() {
            calls.add("close");
        }
    }

    private static DiskImage of(BlockStore store) {
        return DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    }

    @Test
    void nothingOfAWriteThatHasWaitedTooLongReachesTheStore() throws Exception {
        WatchedStore store = new WatchedStore();
        DiskImage disk = of(store);
        disk.resize(4096);
        for (int at : new int[] {8192, 4096, 3584}) {
            assertEquals(DiskImage.FAILED, disk.tryWrite(vector(1024), at));
            assertEquals(DiskImage.FAILED, disk.write(vector(1024), at));
        }
        assertEquals(DiskImage.DONE, disk.tryWrite(vector(1024), 3072));
        assertEquals(DiskImage.DONE, disk.write(vector(1024), 3072));
        assertEquals(List.of("resize 4096", "write 3072", "write 3072"), store.calls);
        assertTrue(disk.failure().isEmpty());
    }

    /// One that the store takes at once, one that waits, and one of the kernel's.
    @Test
    void whatAWriteHasPutBehindANewEndIsCutOff() {
        for (String kind : List.of("at once", "waits", "kernel")) {
            WatchedStore store =
                    new WatchedStore() {
                        @Override
                        void happens(String call) throws IOException {
                            super.happens(call);
                            if (call.startsWith("write")) {
                                super.size = 4096;
                            }
                        }
                    };
            DiskImage disk = of(store);
            int outcome =
                    switch (kind) {
                        case "at once" -> disk.tryWrite(vector(1024), 3584);
                        case "waits" -> disk.write(vector(1024), 3584);
                        default -> {
                            store.size = 4096;
                            yield disk.written(4608, 0);
                        }
                    };
            assertEquals(DiskImage.FAILED, outcome, kind);
            assertEquals("resize 4096", store.calls.getLast(), kind);
            assertEquals(DiskImage.DONE, disk.written(4096, 0));
            assertTrue(disk.failure().isEmpty(), kind);
        }
    }

    /// The store is promised that.
    @Test
    void changesOfTheSizeComeOneAtATime() throws Exception {
        Thread writer = Thread.currentThread();
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        WatchedStore store =
                new WatchedStore() {
                    @Override
                    void happens(String call) {
                        if (!call.startsWith("resize")) {
                            return;
                        }
                        most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                        if (!Thread.currentThread().equals(writer)) {
                            await().until(
                                            () ->
                                                    inside.get() > 1
                                                            || writer.getState()
                                                                    == Thread.State.BLOCKED);
                        }
                        inside.decrementAndGet();
                    }
                };
        DiskImage disk = of(store);
        CompletableFuture<Void> cutting = CompletableFuture.runAsync(() -> cut(disk, 4096));
        await().until(() -> inside.get() == 1);
        assertEquals(DiskImage.FAILED, disk.written(8192, 0));
        cutting.get(20, TimeUnit.SECONDS);
        assertEquals(1, most.get());
    }

    @Test
    void whatIsLeftOfATransferIsNoSuccess() {
        DiskImage disk =
                of(
                        new MemoryStore(8192) {
                            @Override
                            public long read(IoVector into, long offsetBytes) throws IOException {
                                into.advance(512);
                                return 512;
                            }

                            @Override
                            public void write(IoVector from, long offsetBytes) {
                                from.advance(512);
                            }
                        });
        assertEquals(DiskImage.WOULD_BLOCK, disk.tryRead(vector(1024), 0));
        assertEquals(DiskImage.FAILED, disk.read(vector(1024), 0));
        assertEquals(DiskImage.WOULD_BLOCK, disk.tryWrite(vector(1024), 0));
        assertEquals(DiskImage.FAILED, disk.write(vector(1024), 0));
        assertTrue(disk.failure().isEmpty());
    }

    private static WatchedStore failing(String what, IOException how) {
        return new WatchedStore() {
            @Override
            void happens(String call) throws IOException {
                super.happens(call);
                if (call.startsWith(what)) {
                    throw how;
                }
            }
        };
    }

    @Test
    void whatTheKernelHasNotWrittenFailsTheDisk() {
        DiskImage disk = of(new WatchedStore());
        assertTrue(disk.takesWrites());
        assertEquals(DiskImage.FAILED, disk.written(512, Errno.ENOSPC));
        assertTrue(disk.failure().orElseThrow().toString().contains("ENOSPC"));
        assertFalse(disk.takesWrites());
        assertFalse(of(new WatchedStore(true)).takesWrites());
    }

    @Test
    void aSynchronisationOnTheWayThatFailsFailsTheDisk() {
        SyncFailedException failed = new SyncFailedException("fdatasync: EIO");
        DiskImage discarded = of(failing("discard", failed));
        assertEquals(DiskImage.FAILED, discarded.discard(0, 512));
        assertTrue(discarded.failure().isPresent());
        DiskImage resized = of(failing("resize", failed));
        assertThrows(DiskException.class, () -> resized.resize(4096));
        assertTrue(resized.failure().isPresent());
    }

    @Test
    void aDiscardThatFailsFailsNoDisk() {
        DiskImage disk = of(failing("discard", new IOException("no")));
        assertEquals(DiskImage.FAILED, disk.discard(0, 512));
        assertTrue(disk.failure().isEmpty());
        DiskImage other = of(failing("discard", new LinuxException("fallocate", Errno.EIO)));
        assertEquals(DiskImage.FAILED, other.discard(0, 512));
        assertTrue(other.failure().isEmpty());
        DiskImage cannot =
                of(failing("discard", new LinuxException("fallocate", Errno.EOPNOTSUPP)));
        assertEquals(DiskImage.NOT_SUPPORTED, cannot.discard(0, 512));
        assertTrue(cannot.failure().isEmpty());
    }

    @Test
    void aDiskThatTakesNoWritesGivesNothingBack() {
        WatchedStore readOnly = new WatchedStore(true);
        DiskImage reader = of(readOnly);
        assertEquals(DiskImage.FAILED, reader.discard(0, 512));
        assertEquals(List.of(), readOnly.calls);
        assertEquals(0, reader.discardGranularityBytes());
        WatchedStore store = new WatchedStore();
        DiskImage failed = of(store);
        assertEquals(DiskImage.FAILED, failed.written(512, Errno.EIO));
        assertEquals(DiskImage.FAILED, failed.discard(0, 512));
        assertEquals(List.of(), store.calls);
        assertEquals(512, failed.discardGranularityBytes());
    }

    @Test
    void whoMakesItStableInVainFailsTheDisk() {
        WatchedStore store = failing("sync", new IOException("the device is gone"));
        DiskImage disk = of(store);
        assertThrows(DiskException.class, disk::makeStable);
        assertTrue(disk.failure().orElseThrow().toString().contains("gone"));
        assertEquals(DiskImage.FAILED, disk.tryWrite(vector(512), 0));
        assertThrows(DiskException.class, disk::makeStable);
        assertThrows(DiskException.class, disk::close);
        assertEquals(List.of("sync", "close"), store.calls);
    }

    @Test
    void whatHasNothingToMakeStableIsNotSynchronised() throws Exception {
        WatchedStore readOnly = new WatchedStore(true);
        of(readOnly).close();
        assertEquals(List.of("close"), readOnly.calls);
        WatchedStore unsafe = new WatchedStore();
        DiskImage.of(unsafe, DiskMode.UNSAFE, Runnable::run).close();
        assertEquals(List.of("close"), unsafe.calls);
        WatchedStore store = new WatchedStore();
        of(store).close();
        assertEquals(List.of("sync", "close"), store.calls);
    }

    /// The file of a synchronisation that is under way is not closed.
    @Test
    void closingWaitsForTheFlush() throws Exception {
        CountDownLatch goOn = new CountDownLatch(1);
        WatchedStore store =
                new WatchedStore() {
                    @Override
                    void happens(String call) throws IOException {
                        if (Thread.currentThread().getName().startsWith("sync ")) {
                            calls.add("flush begins");
                            waitFor(goOn);
                            calls.add("flush ends");
                        } else {
                            super.happens(call);
                        }
                    }
                };
        DiskImage disk = DiskImage.owning(store, DiskMode.WRITEBACK);
        CompletableFuture<Boolean> flushed = new CompletableFuture<>();
        disk.flush(flushed::complete);
        await().until(() -> store.calls.contains("flush begins"));
        CompletableFuture<Void> closed = new CompletableFuture<>();
        Thread closing =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        disk.close();
                                        closed.complete(null);
                                    } catch (DiskException e) {
                                        closed.completeExceptionally(e);
                                    }
                                });
        await().until(
                        () ->
                                store.calls.contains("close")
                                        || closing.getState() == Thread.State.BLOCKED);
        goOn.countDown();
        closed.get(20, TimeUnit.SECONDS);
        assertTrue(flushed.get(20, TimeUnit.SECONDS));
        assertEquals(List.of("flush begins", "flush ends", "sync", "close"), store.calls);
    }

    private static void waitFor(CountDownLatch latch) {
        try {
            assertTrue(latch.await(20, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void whoListensIsToldOfEachSizeAndNobodyElse() throws Exception {
        DiskImage disk = of(new WatchedStore());
        List<Long> told = new ArrayList<>();
        Runnable listener = () -> told.add(disk.sizeBytes());
        disk.onResize(listener);
        disk.resize(4096);
        disk.resize(1 << 20);
        assertThrows(DiskException.class, () -> disk.resize(513));
        disk.removeResizeListener(listener);
        disk.resize(512);
        assertEquals(List.of(4096L, 1L << 20), told);
    }

    @Test
    void aSizeThatCannotBeIsRefusedBeforeTheStoreHearsOfIt() {
        WatchedStore store = new WatchedStore();
        DiskImage disk = of(store);
        for (long size : new long[] {0, -512, 513, Long.MIN_VALUE}) {
            assertThrows(DiskException.class, () -> disk.resize(size));
        }
        assertEquals(DiskImage.FAILED, disk.written(512, Errno.EIO));
        DiskException failed = assertThrows(DiskException.class, () -> disk.resize(512));
        assertTrue(String.valueOf(failed.getMessage()).contains("EIO"), failed.getMessage());
        assertEquals(List.of(), store.calls);
        WatchedStore readOnly = new WatchedStore(true);
        assertThrows(DiskException.class, () -> of(readOnly).resize(512));
        assertEquals(List.of(), readOnly.calls);
        // One that keeps its size has no resize of its own.
        DiskException kept =
                assertThrows(DiskException.class, () -> of(new MemoryStore(512)).resize(1024));
        assertTrue(String.valueOf(kept.getMessage()).contains("keep their size"));
    }

    @Test
    void aStoreOfHalfASectorIsNoDisk() {
        assertThrows(IllegalArgumentException.class, () -> of(new MemoryStore(0)));
        assertThrows(IllegalArgumentException.class, () -> of(new MemoryStore(513)));
    }

    @Test
    void eachModeStoresWhatIsWritten() throws IOException {
        for (DiskMode mode : DiskMode.values()) {
            Path file = image(4096);
            try (DiskImage disk = DiskImage.open(file, mode)) {
                IoVector vector = new IoVector(1);
                MemorySegment memory = Arena.ofAuto().allocate(1024);
                memory.fill((byte) 9);
                vector.add(memory, 0, 1024);
                long at = 512;
                if (disk.tryWrite(vector, at) == DiskImage.WOULD_BLOCK) {
                    assertEquals(
                            DiskImage.DONE,
                            disk.write(vector, at + 1024 - vector.remainingBytes()));
                }
            }
            byte[] bytes = Files.readAllBytes(file);
            assertEquals(0, bytes[511]);
            assertEquals(9, bytes[512]);
            assertEquals(9, bytes[1535]);
            assertEquals(0, bytes[1536]);
        }
    }
}
