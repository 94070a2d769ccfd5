package org.splitring.blkback;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FaultyFile;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.HostFile;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.hypervisor.linux.IoVector;

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
