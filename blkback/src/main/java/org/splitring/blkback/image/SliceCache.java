package org.splitring.blkback.image;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Pieces of metadata tables in memory, at most a fixed number of them. What is changed is written
/// to the file at once, so nothing is lost when a piece makes room for another.
///
/// One thread at a time; the owner sees to that.
final class SliceCache {
    private static final int WAYS = 8;

    private final int sliceBytes;
    private final int sets;
    private final long[] offsets; // -1: empty
    private final long[] lastUsed;
    private final long[] @Nullable [] slices;
    private long clock;

    /// @param sliceBytes a power of two
    /// @param budgetBytes how much memory it may take, besides a little for itself
    SliceCache(int sliceBytes, long budgetBytes) {
        this.sliceBytes = sliceBytes;
        long wanted = Math.max(1, budgetBytes / sliceBytes / WAYS);
        this.sets = (int) Math.min(1 << 16, Long.highestOneBit(wanted));
        this.offsets = new long[sets * WAYS];
        this.lastUsed = new long[sets * WAYS];
        this.slices = new long[sets * WAYS][];
        Arrays.fill(offsets, -1);
    }

    int sliceBytes() {
        return sliceBytes;
    }

    /// Where the slice starts that has the byte at `offset`.
    long sliceOf(long offset) {
        return offset & -sliceBytes;
    }

    /// The numbers of the slice that starts at `offset`, or `null`. Good until the next insertion.
    long @Nullable [] get(long offset) {
        int place = find(offset);
        if (place < 0) {
            return null;
        }
        lastUsed[place] = ++clock;
        return slices[place];
    }

    /// Takes a copy of a slice, in place of the one that was not used for longest.
    long[] insert(long offset, long[] numbers) {
        int place = find(offset);
        if (place < 0) {
            place = oldest(offset);
        }
        long[] slice = slices[place];
        if (slice == null) {
            slice = new long[sliceBytes / Long.BYTES];
            slices[place] = slice;
        }
        System.arraycopy(numbers, 0, slice, 0, slice.length);
        offsets[place] = offset;
        lastUsed[place] = ++clock;
        return slice;
    }

    /// Changes one number, if its slice is here.
    void update(long offset, long value) {
        int place = find(sliceOf(offset));
        if (place >= 0) {
            long[] slice = slices[place];
            if (slice != null) {
                slice[(int) (offset & (sliceBytes - 1)) / Long.BYTES] = value;
            }
        }
    }

    /// Forgets what is cached of a range.
    void drop(long offset, long sizeBytes) {
        for (long at = sliceOf(offset); at < offset + sizeBytes; at += sliceBytes) {
            int place = find(at);
            if (place >= 0) {
                offsets[place] = -1;
                lastUsed[place] = 0;
            }
        }
    }

    private int set(long offset) {
        long number = (offset / sliceBytes) * 0x9E3779B97F4A7C15L;
        return (int) (number >>> 40) & (sets - 1);
    }

    private int find(long offset) {
        int first = set(offset) * WAYS;
        for (int i = first; i < first + WAYS; i++) {
            if (offsets[i] == offset) {
                return i;
            }
        }
        return -1;
    }

    private int oldest(long offset) {
        int first = set(offset) * WAYS;
        int oldest = first;
        for (int i = first + 1; i < first + WAYS; i++) {
            if (lastUsed[i] < lastUsed[oldest]) {
                oldest = i;
            }
        }
        return oldest;
    }
}
