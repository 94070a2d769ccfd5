package org.splitring.benchmarks.stress;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// Bytes that follow from a number: two numbers that differ give other bytes all along.
final class Filling {
    static final VarHandle LONG = handle(ValueLayout.JAVA_LONG_UNALIGNED);
    static final VarHandle INT = handle(ValueLayout.JAVA_INT_UNALIGNED);

    private static final long STEP = 0x9E37_79B9_7F4A_7C15L; // of SplittableRandom
    private static final long FACTOR = 0xBF58_476D_1CE4_E5B9L;

    private Filling() {}

    private static VarHandle handle(ValueLayout layout) {
        return layout.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle().withInvokeExactBehavior();
    }

    /// Fills from one byte to another; the last bytes are zero where no whole word is left.
    static void fill(MemorySegment into, long from, long to, long seed) {
        long word = seed;
        long at = from;
        for (; at + Long.BYTES <= to; at += Long.BYTES) {
            word += STEP;
            LONG.set(into, at, (word ^ word >>> 29) * FACTOR);
        }
        for (; at < to; at++) {
            into.set(ValueLayout.JAVA_BYTE, at, (byte) 0);
        }
    }

    /// Makes one number of several.
    static long mix(long a, long b) {
        long word = (a + STEP) * FACTOR ^ b;
        return (word ^ word >>> 32) * STEP;
    }
}
