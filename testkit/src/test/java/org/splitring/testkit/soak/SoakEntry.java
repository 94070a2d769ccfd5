package org.splitring.testkit.soak;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Entry of the soak's ring, 112 bytes as a block request: an id that names the outstanding
/// request, its number, and a word that proves number and direction.
///
///     byte  0       8          16        24
///           +-------+----------+---------+-----
///           | id    | number   | proof   |
///           +-------+----------+---------+-----
final class SoakEntry {
    static final int BYTES = 112;

    private static final long NUMBER = 8;
    private static final long PROOF = 16;

    private SoakEntry() {}

    static void put(MemorySegment slot, long id, long number, long key) {
        slot.set(ValueLayout.JAVA_LONG, 0, id);
        slot.set(ValueLayout.JAVA_LONG, NUMBER, number);
        slot.set(ValueLayout.JAVA_LONG, PROOF, mix(number ^ key));
    }

    static long id(MemorySegment copy) {
        return copy.get(ValueLayout.JAVA_LONG, 0);
    }

    /// The number, once it is proven.
    static long number(MemorySegment copy, long key) {
        long number = copy.get(ValueLayout.JAVA_LONG, NUMBER);
        if (copy.get(ValueLayout.JAVA_LONG, PROOF) != mix(number ^ key)) {
            throw new IllegalStateException("torn entry: id " + id(copy) + " number " + number);
        }
        return number;
    }

    private static long mix(long seed) {
        long x = (seed ^ (seed >>> 30)) * 0xBF58476D1CE4E5B9L;
        x = (x ^ (x >>> 27)) * 0x94D049BB133111EBL;
        return x ^ (x >>> 31);
    }
}
