package org.splitring.blkback.image;

import java.util.Arrays;

/// A set of numbers that are not negative, without an object for each.
final class LongSet {
    private static final long EMPTY = -1;
    private static final long GONE = -2;

    private long[] table = new long[64];
    private int used; // places that are not EMPTY

    LongSet() {
        Arrays.fill(table, EMPTY);
    }

    boolean contains(long number) {
        return table[find(number)] == number;
    }

    /// Puts a number in.
    ///
    /// @return `false` when it was there
    boolean add(long number) {
        int place = find(number);
        if (table[place] == number) {
            return false;
        }
        table[place] = number;
        used++;
        if (used > table.length / 2) {
            rehash();
        }
        return true;
    }

    void remove(long number) {
        int place = find(number);
        if (table[place] == number) {
            table[place] = GONE;
        }
    }

    /// Where the number is, or the empty place where the search for it ends.
    private int find(long number) {
        int mask = table.length - 1;
        int place = (int) ((number * 0x9E3779B97F4A7C15L) >>> 32) & mask;
        while (table[place] != EMPTY && table[place] != number) {
            place = (place + 1) & mask;
        }
        return place;
    }

    private void rehash() {
        long[] old = table;
        table = new long[old.length * 2];
        Arrays.fill(table, EMPTY);
        used = 0;
        for (long number : old) {
            if (number >= 0) {
                table[find(number)] = number;
                used++;
            }
        }
    }
}
