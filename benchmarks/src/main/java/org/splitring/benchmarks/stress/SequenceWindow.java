package org.splitring.benchmarks.stress;

import java.util.Arrays;

/// Which frames of a stream have come: counts those that come twice, or after a later one.
/// Looks back over the last [#SIZE] numbers; what is older is late, and may have come before.
final class SequenceWindow {
    static final int SIZE = 1 << 16;

    private final long[] seen = new long[SIZE / Long.SIZE];
    private long next; // after the highest that has come
    private long distinct;
    private long duplicated;
    private long reordered;

    /// A frame has come. Numbers begin with 0.
    ///
    /// @return `false` when it has come before
    boolean take(long number) {
        if (number >= next) {
            skipTo(number);
            next = number + 1;
            mark(number);
            distinct++;
            return true;
        }
        if (number >= next - SIZE && isMarked(number)) {
            duplicated++;
            return false;
        }
        reordered++;
        if (number >= next - SIZE) {
            mark(number);
        }
        distinct++;
        return true;
    }

    /// Forgets what the places of the numbers up to this one stood for before.
    private void skipTo(long number) {
        if (number - next >= SIZE) {
            Arrays.fill(seen, 0);
            return;
        }
        for (long i = next; i <= number; i++) {
            int at = (int) (i & SIZE - 1);
            seen[at / Long.SIZE] &= ~(1L << at);
        }
    }

    private void mark(long number) {
        int at = (int) (number & SIZE - 1);
        seen[at / Long.SIZE] |= 1L << at;
    }

    private boolean isMarked(long number) {
        int at = (int) (number & SIZE - 1);
        return (seen[at / Long.SIZE] & 1L << at) != 0;
    }

    /// The number after the highest that has come.
    long next() {
        return next;
    }

    /// How many different ones have come.
    long distinct() {
        return distinct;
    }

    long duplicated() {
        return duplicated;
    }

    /// How many came after one with a higher number.
    long reordered() {
        return reordered;
    }
}
