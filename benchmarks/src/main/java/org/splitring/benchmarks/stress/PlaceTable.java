package org.splitring.benchmarks.stress;

import java.util.Arrays;
import java.util.BitSet;
import java.util.SplittableRandom;

/// What is known of each place of a disk: which generation was written there last, and whether a
/// request is under way there. A place has one request at a time, so that it is known what a read
/// must find. State is that of the disk's loop.
final class PlaceTable {
    /// Nobody knows what is there.
    static final int UNKNOWN = -1;

    /// Four bytes for each: 64 MiB of heap at most.
    static final int MOST = 1 << 24;

    private final int[] generations;
    private final BitSet busy;
    private int cursor;

    /// @param initially 0 where the disk is known to be zeros, or [#UNKNOWN]
    PlaceTable(int places, int initially) {
        generations = new int[places];
        Arrays.fill(generations, initially);
        busy = new BitSet(places);
    }

    int size() {
        return generations.length;
    }

    /// Takes the next free place in order.
    int takeNext() {
        int place = free(cursor);
        cursor = place + 1 == generations.length ? 0 : place + 1;
        busy.set(place);
        return place;
    }

    /// Takes a free place at random.
    int takeAny(SplittableRandom random) {
        int place = free(random.nextInt(generations.length));
        busy.set(place);
        return place;
    }

    private int free(int from) {
        int place = busy.nextClearBit(from);
        if (place >= generations.length) {
            place = busy.nextClearBit(0);
        }
        if (place >= generations.length) {
            throw new IllegalStateException("more requests than places: " + generations.length);
        }
        return place;
    }

    void giveBack(int place) {
        busy.clear(place);
    }

    int generation(int place) {
        return generations[place];
    }

    /// What the next write to a place is. Never 0, which stands for zeros, nor [#UNKNOWN].
    int nextGeneration(int place) {
        return Math.max(0, generations[place]) % Integer.MAX_VALUE + 1;
    }

    void written(int place, int generation) {
        generations[place] = generation;
    }

    /// Begins anew with the first place.
    void rewind() {
        cursor = 0;
    }
}
