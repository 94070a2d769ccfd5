package org.splitring.benchmarks.stress;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.zip.CRC32C;

/// What a written block holds, so that a block that is read says where it belongs and when it
/// was written.
///
///     byte 0       8       16       24     28           32      36      40            size
///          +-------+-------+--------+------+------------+-------+-------+--------------+
///          | magic | run   | offset | disk | generation | crc32c|   0   | words that   |
///          |       |       |        |      |            |       |       | follow from  |
///          +-------+-------+--------+------+------------+-------+-------+ the others --+
///
/// Little-endian. `offset` is the block's place on its disk in bytes, `generation` counts the
/// writes to that place from 1 on, and the checksum is of everything but its own four bytes.
/// Generation 0 is a block of zeros. Used by one thread.
final class BlockPattern {
    static final int LEAST_BYTES = 512;
    private static final long MAGIC = 0x6B6C_4267_6E69_7253L; // "SringBlk"
    private static final long RUN = 8;
    private static final long OFFSET = 16;
    private static final long DISK = 24;
    private static final long GENERATION = 28;
    private static final long CHECKSUM = 32;
    private static final int HEADER = 40;

    private final long run;
    private final int disk;
    private final int sizeBytes;
    private final CRC32C crc = new CRC32C();
    private final MemorySegment zeros;

    /// @param run a number that no other run has
    /// @param disk which of the run's disks
    BlockPattern(long run, int disk, int sizeBytes) {
        this.run = run;
        this.disk = disk;
        this.sizeBytes = sizeBytes;
        zeros = MemorySegment.ofArray(new byte[sizeBytes]);
    }

    /// Writes a block.
    ///
    /// @param bytes the same memory; its position and limit are set
    void stamp(MemorySegment block, ByteBuffer bytes, long offset, int generation) {
        Filling.LONG.set(block, 0L, MAGIC);
        Filling.LONG.set(block, RUN, run);
        Filling.LONG.set(block, OFFSET, offset);
        Filling.INT.set(block, DISK, disk);
        Filling.INT.set(block, GENERATION, generation);
        Filling.LONG.set(block, CHECKSUM, 0L);
        Filling.fill(block, HEADER, sizeBytes, seed(offset, generation));
        Filling.INT.set(block, CHECKSUM, checksum(bytes));
    }

    private long seed(long offset, int generation) {
        return Filling.mix(run + disk, offset ^ (long) generation << 40);
    }

    /// Of everything before the checksum, and everything after it.
    private int checksum(ByteBuffer bytes) {
        crc.reset();
        bytes.limit((int) CHECKSUM).position(0);
        crc.update(bytes);
        bytes.limit(sizeBytes).position((int) CHECKSUM + Integer.BYTES);
        crc.update(bytes);
        return (int) crc.getValue();
    }

    /// Whether a block is the one that was written last.
    boolean matches(MemorySegment block, ByteBuffer bytes, long offset, int generation) {
        if (generation == 0) {
            return areZeros(block);
        }
        return (long) Filling.LONG.get(block, 0L) == MAGIC
                && (long) Filling.LONG.get(block, RUN) == run
                && (long) Filling.LONG.get(block, OFFSET) == offset
                && (int) Filling.INT.get(block, DISK) == disk
                && (int) Filling.INT.get(block, GENERATION) == generation
                && (int) Filling.INT.get(block, CHECKSUM) == checksum(bytes);
    }

    private boolean areZeros(MemorySegment block) {
        return MemorySegment.mismatch(block, 0, sizeBytes, zeros, 0, sizeBytes) < 0;
    }

    /// What a block holds that does not match, for people.
    String describe(MemorySegment block, ByteBuffer bytes, long offset, int generation) {
        return "should be "
                + should(generation)
                + ", and "
                + found(block, bytes, offset, generation);
    }

    private static String should(int generation) {
        return generation == 0 ? "zeros" : "generation " + generation;
    }

    private String found(MemorySegment block, ByteBuffer bytes, long offset, int generation) {
        if (areZeros(block)) {
            return "is zeros";
        }
        if ((long) Filling.LONG.get(block, 0L) == MAGIC
                && (int) Filling.INT.get(block, CHECKSUM) == checksum(bytes)) {
            int itsGeneration = (int) Filling.INT.get(block, GENERATION);
            int itsDisk = (int) Filling.INT.get(block, DISK);
            long itsOffset = (long) Filling.LONG.get(block, OFFSET);
            if ((long) Filling.LONG.get(block, RUN) != run) {
                return "is an intact block of another run";
            }
            return "is the intact block of "
                    + (itsDisk == disk ? "" : "disk " + itsDisk + ", ")
                    + "byte "
                    + itsOffset
                    + ", generation "
                    + itsGeneration;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment wanted = arena.allocate(sizeBytes, Long.BYTES);
            if (generation != 0) {
                stamp(wanted, wanted.asByteBuffer(), offset, generation);
            }
            long at = MemorySegment.mismatch(wanted, 0, sizeBytes, block, 0, sizeBytes);
            if (at < 0) {
                return "became that while it was looked at";
            }
            HexFormat hex = HexFormat.of();
            return "is damaged: byte "
                    + at
                    + " of it is 0x"
                    + hex.toHexDigits(block.get(ValueLayout.JAVA_BYTE, at))
                    + " instead of 0x"
                    + hex.toHexDigits(wanted.get(ValueLayout.JAVA_BYTE, at))
                    + ", and "
                    + (differing(wanted, block) - 1)
                    + " others differ";
        }
    }

    private long differing(MemorySegment a, MemorySegment b) {
        long count = 0;
        for (long i = 0; i < sizeBytes; i++) {
            if (a.get(ValueLayout.JAVA_BYTE, i) != b.get(ValueLayout.JAVA_BYTE, i)) {
                count++;
            }
        }
        return count;
    }
}
