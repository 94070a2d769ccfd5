package org.splitring.bridge;

import java.security.SecureRandom;
import java.util.Arrays;

/// Finds a number by a key of three words. Open addressing with linear probing, at most half full,
/// in arrays that are made once. The hash is keyed with secrets: a guest cannot choose addresses
/// and ports that fall together (N-46). One thread.
final class KeyIndex {
    /// Not there.
    static final int NONE = -1;

    private final long[] keys;
    private final int[] values;
    private final int last;
    private final int shift;
    private final long[] secrets = new SecureRandom().longs(4).toArray();
    private int size;

    /// @param capacity most keys at one time
    KeyIndex(int capacity) {
        int slots = Integer.highestOneBit(Math.max(8, capacity * 2 - 1)) * 2;
        keys = new long[3 * slots];
        values = new int[slots];
        Arrays.fill(values, NONE);
        last = slots - 1;
        shift = 64 - Integer.numberOfTrailingZeros(slots);
    }

    private int home(long a, long b, long c) {
        long h = (a ^ secrets[0]) * (secrets[1] | 1);
        h = (h ^ (h >>> 31) ^ b) * (secrets[2] | 1);
        h = (h ^ (h >>> 29) ^ c) * (secrets[3] | 1);
        return (int) (((h ^ (h >>> 32)) * 0x9E37_79B9_7F4A_7C15L) >>> shift);
    }

    /// The slot of the key, or the complement of the free one where it would go.
    private int slot(long a, long b, long c) {
        int i = home(a, b, c);
        while (values[i] != NONE) {
            if (keys[3 * i] == a && keys[3 * i + 1] == b && keys[3 * i + 2] == c) {
                return i;
            }
            i = i + 1 & last;
        }
        return ~i;
    }

    /// The value of a key, or [#NONE].
    int find(long a, long b, long c) {
        int i = slot(a, b, c);
        return i < 0 ? NONE : values[i];
    }

    /// Adds a key, or gives it another value.
    ///
    /// @param value not negative
    void put(long a, long b, long c, int value) {
        int i = slot(a, b, c);
        if (i < 0) {
            i = ~i;
            keys[3 * i] = a;
            keys[3 * i + 1] = b;
            keys[3 * i + 2] = c;
            size++;
        }
        values[i] = value;
    }

    /// Takes a key out, if it is there.
    void remove(long a, long b, long c) {
        int hole = slot(a, b, c);
        if (hole < 0) {
            return;
        }
        size--;
        // No tombstones: what was pushed past this slot moves back.
        for (int i = hole + 1 & last; values[i] != NONE; i = i + 1 & last) {
            int home = home(keys[3 * i], keys[3 * i + 1], keys[3 * i + 2]);
            if ((i - home & last) >= (i - hole & last)) {
                System.arraycopy(keys, 3 * i, keys, 3 * hole, 3);
                values[hole] = values[i];
                hole = i;
            }
        }
        values[hole] = NONE;
    }

    int size() {
        return size;
    }
}
