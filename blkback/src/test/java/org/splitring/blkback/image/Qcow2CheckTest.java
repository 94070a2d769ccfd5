package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// Each kind of damage is found, and told of by the name of what is damaged.
class Qcow2CheckTest {
    private static final int CLUSTER = 4096;
    private static final int CLUSTERS = 16; // of data, the first of the disk
    private static final int SNAPSHOTS_AT = 60;
    private static final int L1_AT = 40;
    private static final long OFFSET = ~(1L << 63);

    private ByteBuffer image;
    private int l1;
    private int l2;

    @BeforeEach
    void makeImage() throws IOException {
        RecordingFile file = new RecordingFile(new byte[0], false);
        new Qcow2Creation(4 << 20, 12, "", "").write(file);
        try (BlockStore store = Qcow2Store.open(file, Qcow2Header.read(file), null)) {
            IoVector vector = new IoVector(1);
            long sizeBytes = CLUSTERS * (long) CLUSTER;
            vector.add(Arena.ofAuto().allocate(sizeBytes, CLUSTER).fill((byte) 5), 0, sizeBytes);
            store.write(vector, 0);
            store.sync();
        }
        image = ByteBuffer.wrap(file.afterKill());
        l1 = (int) image.getLong(L1_AT);
        l2 = (int) (image.getLong(l1) & OFFSET);
    }

    private CheckReport check(boolean repairLeaks) throws IOException {
        RecordingFile file = new RecordingFile(image.array(), false);
        return Qcow2Check.check(file, Qcow2Header.read(file), repairLeaks, Progress.none());
    }

    @Test
    void anImageAsItShouldBeHasNothingToTell() throws IOException {
        CheckReport report = check(false);
        assertEquals(List.of(), report.damages());
        assertEquals(0, report.damageCount());
    }

    /// Some bits of an entry are turned.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "L1 | 0 | 0x0000000000000002 | L1 entry 0 is 0x8",
                "L1 | 0 | 0x0000000000000200 | L1 entry 0 leads to 0x, where no cluster can begin",
                "L1 | 0 | 0x0080000000000000 | L1 entry 0 leads to 0x8, beyond the end of the file",
                "L1 | 0 | 0x8000000000000000"
                        + " | L1 entry 0 says that its cluster is shared, and it counts 1",
                "L1 | 1 | 0x8000000000000000 | L1 entry 1 leads to 0x0, where no cluster can begin",
                "L2 | 3 | 0x0100000000000000 | L2 entry of cluster 3 is 0x8",
                "L2 | 3 | 0x4000000000000000 | L2 entry of cluster 3 is 0xc",
                "L2 | 4 | 0x0000000000000200"
                        + " | L2 entry of cluster 4 leads to 0x, where no cluster can begin",
                "L2 | 5 | 0x0080000000000000"
                        + " | L2 entry of cluster 5 leads to 0x8, beyond the end of the file",
                "L2 | 6 | 0x8000000000000000"
                        + " | L2 entry of cluster 6 says that its cluster is shared,"
                        + " and it counts 1",
                "L2 | 511 | 0x8000000000000000"
                        + " | L2 entry of cluster 511 leads to 0x0, where no cluster can begin",
            })
    void anEntryThatCannotBe(String table, int index, String bits, String message)
            throws IOException {
        int at = (table.equals("L1") ? l1 : l2) + index * Long.BYTES;
        long turned = Long.parseUnsignedLong(bits.substring(2), 16);
        image.putLong(at, image.getLong(at) ^ turned);
        CheckReport report = check(true);
        assertTrue(report.damageCount() > 0);
        // Where the file has its clusters is its own business.
        String pattern = message.replaceAll("0x(8|c)?(?=,|$)", "0x$1[0-9a-f]+");
        assertTrue(report.damages().getFirst().matches(pattern), report.toString());
    }

    @Test
    void aClusterWithTwoOwners() throws IOException {
        image.putLong(l2, image.getLong(l2 + Long.BYTES));
        CheckReport report = check(true);
        long cluster = (image.getLong(l2) & OFFSET) / CLUSTER;
        assertEquals(
                List.of("cluster " + cluster + " has 2 owners and counts 1"), report.damages());
        assertEquals(1, report.leakedClusters());
    }

    @Test
    void aSnapshotThatCannotBe() throws IOException {
        int end = image.capacity();
        image = ByteBuffer.wrap(Arrays.copyOf(image.array(), end + CLUSTER));
        image.putInt(SNAPSHOTS_AT, 1);
        image.putLong(SNAPSHOTS_AT + Integer.BYTES, end);
        assertEquals(
                "snapshot 0 leads to 0x0, where no cluster can begin",
                check(false).damages().getFirst());
        image.putInt(end + Long.BYTES, -1);
        assertEquals(
                "snapshot 0 has an L1 table of 4294967295 entries",
                check(false).damages().getFirst());
    }
}
