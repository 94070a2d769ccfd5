package org.splitring.bridge;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;

/// For one field of a frame: which rules a value fits, as a set of bits.
///
/// The values at which the answer changes are sorted; a lookup is one binary search. Its time
/// depends on the number of rules, which the configuration decides, and not on the value, which
/// the guest decides.
final class IntervalIndex {
    /// What one rule says of the field.
    record Interval(BigInteger first, BigInteger last) {}

    private final int words;
    // Where the ranges begin, ascending, as unsigned numbers of 128 bits.
    private final long[] high;
    private final long[] low;
    /// The bits of range `i` are at `i * words`.
    private final long[] bits;

    private final long[] without;

    /// @param intervals for each rule, what it says, or nothing when it fits every value
    IntervalIndex(List<Optional<Interval>> intervals) {
        words = (intervals.size() + 63) / 64;
        TreeSet<BigInteger> starts = new TreeSet<>(List.of(BigInteger.ZERO));
        for (Optional<Interval> interval : intervals) {
            if (interval.isPresent()) {
                starts.add(interval.get().first());
                starts.add(interval.get().last().add(BigInteger.ONE));
            }
        }
        List<BigInteger> sorted = new ArrayList<>(starts);
        high = new long[sorted.size()];
        low = new long[sorted.size()];
        bits = new long[sorted.size() * words];
        without = new long[words];
        for (int rule = 0; rule < intervals.size(); rule++) {
            Optional<Interval> interval = intervals.get(rule);
            long bit = 1L << rule;
            if (interval.isEmpty()) {
                without[rule >>> 6] |= bit;
            }
            for (int i = 0; i < sorted.size(); i++) {
                BigInteger start = sorted.get(i);
                if (interval.isEmpty()
                        || (start.compareTo(interval.get().first()) >= 0
                                && start.compareTo(interval.get().last()) <= 0)) {
                    bits[i * words + (rule >>> 6)] |= bit;
                }
            }
        }
        for (int i = 0; i < sorted.size(); i++) {
            // One past the last address of all has 129 bits: never reached, so never stored either.
            high[i] = sorted.get(i).shiftRight(64).longValue();
            low[i] = sorted.get(i).longValue();
            if (sorted.get(i).bitLength() > 128) {
                high[i] = -1;
                low[i] = -1;
                System.arraycopy(bits, (i - 1) * words, bits, i * words, words);
            }
        }
    }

    /// Takes the rules out of `set` that a value does not fit.
    void keepFitting(long[] set, long valueHigh, long valueLow) {
        int from = 0;
        int to = high.length - 1;
        while (from < to) {
            int middle = (from + to + 1) >>> 1;
            int order = Long.compareUnsigned(high[middle], valueHigh);
            if (order == 0) {
                order = Long.compareUnsigned(low[middle], valueLow);
            }
            if (order <= 0) {
                from = middle;
            } else {
                to = middle - 1;
            }
        }
        int at = from * words;
        for (int i = 0; i < words; i++) {
            set[i] &= bits[at + i];
        }
    }

    /// Takes the rules out of `set` that ask for this field, of a frame that does not have it.
    void keepWithout(long[] set) {
        for (int i = 0; i < words; i++) {
            set[i] &= without[i];
        }
    }
}
