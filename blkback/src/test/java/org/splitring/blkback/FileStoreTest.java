package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.AllocationJudge;
import org.splitring.blkback.nbd.StoreBytes;
import org.splitring.hypervisor.linux.OpenFlag;
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
    void holesOfAFileAreHolesAndNothingElseIs() throws Exception {
        byte[] data = new byte[1 << 20];
        Arrays.fill(data, (byte) 1);
        Path file = Files.write(folder.resolve("disk.img"), data);
        try (FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false)) {
            assertEquals(List.of("data 1048576"), AllocationJudge.extents(store));
            store.discard(64 << 10, 128 << 10);
            store.resize(2 << 20);
            assertEquals(
                    List.of("data 65536", "hole 131072", "data 851968", "hole 1048576"),
                    AllocationJudge.extents(store));
            StoreBytes.write(store, 96 << 10, new byte[4096]); // zeros that were written are data
            assertEquals("data 4096", AllocationJudge.extents(store).get(2));
        }
        try (FileStore store = FileStore.open(file, DiskAccess.READ_ONLY, false)) {
            assertEquals(
                    List.of("hole 32768", "data 4096", "hole 94208"),
                    AllocationJudge.extents(store).subList(1, 4));
        }
    }

    @Test
    void whatIsSaidToBeAHoleReadsAsZeros() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Path file = Files.write(folder.resolve("disk.img"), new byte[0]);
        long holes = 0;
        try (VectoredFile made = VectoredFile.open(file, OpenFlag.READ_WRITE)) {
            made.truncate(2 << 20);
        }
        try (FileStore store = FileStore.open(file, DiskAccess.READ_WRITE, false)) {
            for (int round = 0; round < 30; round++) {
                int sector = random.nextInt(4096 - 64);
                byte[] data = new byte[SECTOR * (1 + random.nextInt(64))];
                Arrays.fill(data, (byte) 1);
                StoreBytes.write(store, (long) sector * SECTOR, data);
                sector = random.nextInt(4096 - 64);
                store.discard((long) sector * SECTOR, SECTOR * (1L + random.nextInt(64)));
                holes = AllocationJudge.judge(store, random);
            }
        }
        assertTrue(holes > 1 << 20, holes + " bytes in holes");
        assertTrue(allocatedBytes(file) <= (2 << 20) - holes + 4096, "more holes than there are");
    }

    @Test
    void aFileThatSomebodyHasShortenedIsDataWhereItIsMissing() throws Exception {
        Path file = Files.write(folder.resolve("disk.img"), new byte[0]);
        try (VectoredFile made = VectoredFile.open(file, OpenFlag.READ_WRITE)) {
            made.truncate(1 << 20);
            try (FileStore store = FileStore.open(file, DiskAccess.READ_ONLY, false)) {
                assertEquals(List.of("hole 1048576"), AllocationJudge.extents(store));
                made.truncate(256 << 10);
                assertEquals(List.of("hole 262144", "data 786432"), AllocationJudge.extents(store));
            }
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
