package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The checker of images finds what it is there to find.
class WriteHistoryTest {
    private static final long SEED = 77;
    private static final int BLOCK_SECTORS = 8;

    @TempDir Path folder;

    private final byte[] disk = new byte[4 * BLOCK_SECTORS * 512];
    private final WriteHistory history = new WriteHistory();

    @BeforeEach
    void writeTwiceFlushWriteOnce() {
        note("W 1 1", "w 1 1", "W 1 2", "w 1 2", "F 1", "f 1", "W 1 3", "w 1 3", "W 1 4");
        note("W 2 1", "F 2");
    }

    @Test
    void theAnsweredVersionIsRightAndSoIsTheOneInFlight() throws IOException {
        put(1, 0, 8, 3);
        assertTrue(broken().isEmpty(), broken());
        put(1, 2, 6, 4);
        assertTrue(broken().isEmpty(), broken());
        assertEquals(1, history.flushesAnswered());
        assertEquals(1, history.flushedBlocks());
    }

    @Test
    void aLostAnsweredWriteIsFound() throws IOException {
        put(1, 0, 8, 3);
        put(1, 5, 1, 2);
        assertEquals("block 1 sector 13 lost an answered write: holds 2, answered 3", broken());
    }

    @Test
    void aLostFlushedWriteIsFound() throws IOException {
        put(1, 0, 8, 3);
        put(1, 7, 1, 1);
        assertEquals("block 1 sector 15 lost a flushed write: holds 1, flushed 2", broken());
    }

    @Test
    void aTornOrMisplacedSectorIsFound() throws IOException {
        put(1, 0, 8, 3);
        disk[BLOCK_SECTORS * 512 + 400] ^= 1;
        assertTrue(broken().startsWith("block 1 sector 8 is torn"), broken());
        put(1, 0, 1, 3);
        System.arraycopy(disk, BLOCK_SECTORS * 512, disk, (BLOCK_SECTORS + 1) * 512, 512);
        assertTrue(broken().startsWith("block 1 sector 9 is torn"), broken());
    }

    @Test
    void aVersionThatWasNeverSentIsFound() throws IOException {
        put(1, 0, 8, 3);
        put(2, 0, 1, 2);
        assertEquals("block 2 sector 16 holds version 2 that was never sent", broken());
    }

    private void note(String... lines) {
        for (String line : lines) {
            history.note(line.split(" ", -1));
        }
    }

    private void put(int block, int from, int sectors, int version) {
        for (int s = from; s < from + sectors; s++) {
            int sector = block * BLOCK_SECTORS + s;
            WriteHistory.fill(
                    ByteBuffer.wrap(disk, sector * 512, 512).slice(), sector, version, SEED);
        }
    }

    private String broken() throws IOException {
        Path image = Files.write(folder.resolve("image"), disk);
        return String.join("; ", history.broken(image, SEED, BLOCK_SECTORS));
    }
}
