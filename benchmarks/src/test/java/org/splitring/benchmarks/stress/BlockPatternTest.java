package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/// Whatever is not the block that was written last is found, and named.
final class BlockPatternTest {
    private static final int SIZE = 4096;

    private final MemorySegment block = Arena.ofAuto().allocate(SIZE, 8);
    private final ByteBuffer bytes = block.asByteBuffer();
    private final BlockPattern pattern = new BlockPattern(1, 2, SIZE);

    private String found(long offset, int generation) {
        assertFalse(pattern.matches(block, bytes, offset, generation));
        return pattern.describe(block, bytes, offset, generation);
    }

    @Test
    void theLastBlockMatches() {
        pattern.stamp(block, bytes, 8192, 5);
        assertTrue(pattern.matches(block, bytes, 8192, 5));
    }

    @Test
    void everyBitCounts() {
        pattern.stamp(block, bytes, 8192, 5);
        for (long at = 0; at < SIZE; at++) {
            byte was = block.get(ValueLayout.JAVA_BYTE, at);
            block.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ 1 << at % 8));
            assertFalse(pattern.matches(block, bytes, 8192, 5), "byte " + at);
            block.set(ValueLayout.JAVA_BYTE, at, was);
        }
        block.set(ValueLayout.JAVA_BYTE, 1000, (byte) ~block.get(ValueLayout.JAVA_BYTE, 1000));
        String found = found(8192, 5);
        assertTrue(found.contains("is damaged: byte 1000 of it is 0x"), found);
        assertTrue(found.endsWith("0 others differ"), found);
    }

    @Test
    void aStaleBlockIsNamedByItsGeneration() {
        pattern.stamp(block, bytes, 8192, 4);
        assertEquals(
                "should be generation 5, and is the intact block of byte 8192, generation 4",
                found(8192, 5));
    }

    @Test
    void aBlockOfAnotherPlaceOrDiskOrRunIsNamed() {
        pattern.stamp(block, bytes, 4096, 5);
        assertTrue(found(8192, 5).endsWith("is the intact block of byte 4096, generation 5"));
        new BlockPattern(1, 3, SIZE).stamp(block, bytes, 8192, 5);
        assertTrue(found(8192, 5).contains("of disk 3, byte 8192"), () -> found(8192, 5));
        new BlockPattern(9, 2, SIZE).stamp(block, bytes, 8192, 5);
        assertTrue(found(8192, 5).endsWith("is an intact block of another run"));
    }

    @Test
    void zerosAreGenerationNought() {
        assertTrue(pattern.matches(block, bytes, 0, 0));
        assertEquals("should be generation 1, and is zeros", found(0, 1));
        block.set(ValueLayout.JAVA_BYTE, 77, (byte) 1);
        assertTrue(found(0, 0).contains("should be zeros, and is damaged: byte 77 of it is 0x01"));
    }
}
