package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
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
