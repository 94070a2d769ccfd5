package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.VectoredFile;

class FileStoreTest {
    private static final int SECTOR = DiskImage.SECTOR_SIZE;

    @TempDir Path folder;

    private static long allocatedBytes(Path file) throws IOException {
        try (VectoredFile open = VectoredFile.open(file)) {
            return open.status().allocatedBytes();
        }
    }

    @Test
    void n34_aDiscardOfAnyRangeLosesNoNeighbours() throws IOException {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        byte[] expected = new byte[64 * 4096];
        random.nextBytes(expected);
        Path file = Files.write(folder.resolve("disk.img"), expected);
        try (FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false)) {
            assertTrue(store.discardZeroes());
            int sectors = expected.length / SECTOR;
            for (int i = 0; i < 40; i++) {
                int from = random.nextInt(sectors);
                int count = 1 + random.nextInt(Math.min(30, sectors - from));
                store.discard((long) from * SECTOR, (long) count * SECTOR);
                Arrays.fill(expected, from * SECTOR, (from + count) * SECTOR, (byte) 0);
                assertArrayEquals(expected, Files.readAllBytes(file), "seed " + seed);
            }
            store.discard(0, expected.length);
            assertEquals(0, allocatedBytes(file), "storage is given back");
            assertEquals(expected.length, Files.size(file));
        }
    }

    @Test
    void whatIsReadOnlyCannotBeDiscarded() throws IOException {
        Path file = Files.write(folder.resolve("disk.img"), new byte[4096]);
        try (FileStore store = FileStore.open(file, DiskAccess.READ_ONLY, false)) {
            assertEquals(0, store.discardGranularityBytes());
            assertThrows(UnsupportedOperationException.class, () -> store.discard(0, 4096));
        }
    }

    @Test
    void askingWhetherHolesCanBeMadeChangesNothing() throws IOException {
        byte[] odd = new byte[3 * SECTOR]; // ends within a block
        new Random(1).nextBytes(odd);
        Path file = Files.write(folder.resolve("disk.img"), odd);
        try (FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false)) {
            assertTrue(store.discardGranularityBytes() >= SECTOR);
            assertArrayEquals(odd, Files.readAllBytes(file));
        }
    }

    @Test
    void aStoreGrowsWithZerosAndShrinks() throws IOException {
        byte[] before = new byte[4096];
        Arrays.fill(before, (byte) 7);
        Path file = Files.write(folder.resolve("disk.img"), before);
        try (FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false)) {
            store.resize(8192);
            assertEquals(8192, store.sizeBytes());
            assertArrayEquals(Arrays.copyOf(before, 8192), Files.readAllBytes(file));
            store.resize(SECTOR);
            assertEquals(SECTOR, store.sizeBytes());
            assertEquals(SECTOR, Files.size(file));
        }
    }
}
