package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/// Several pieces that are copied between granted pages and private memory in one call, with a
/// status for each.
///
/// A device queue owns one and reuses it: no call allocates. The caller adds pieces, has them
/// copied ([ForeignPages#copyFrom], [ForeignPages#copyTo]), and looks at **every** status. Statuses
/// start as [GrantStatus#GENERAL_ERROR], so that a piece nobody touched never reads as okay.
public final class GrantCopies {
    private final int[] grefs;
    private final int[] pageOffsets;
    private final MemorySegment[] memories;
    private final long[] offsets;
    private final int[] sizes;
    private final int[] statuses;
    private int count;

    /// @param capacity how many pieces it can hold
    public GrantCopies(int capacity) {
        grefs = new int[capacity];
        pageOffsets = new int[capacity];
        memories = new MemorySegment[capacity];
        offsets = new long[capacity];
        sizes = new int[capacity];
        statuses = new int[capacity];
        Arrays.fill(memories, MemorySegment.NULL);
    }

    /// Forgets all pieces.
    public void clear() {
        count = 0;
    }

    /// Appends a piece.
    ///
    /// @param gref a grant reference of the frontend, unchecked
    /// @param pageOffset where in the granted page; checked when it is copied
    /// @param ours private memory, or a mapped page of another guest
    /// @param offset where in `ours`
    public void add(int gref, int pageOffset, MemorySegment ours, long offset, int sizeBytes) {
        grefs[count] = gref;
        pageOffsets[count] = pageOffset;
        memories[count] = ours;
        offsets[count] = offset;
        sizes[count] = sizeBytes;
        statuses[count] = GrantStatus.GENERAL_ERROR;
        count++;
    }

    public int size() {
        return count;
    }

    public int capacity() {
        return grefs.length;
    }

    public int gref(int index) {
        return grefs[index];
    }

    public int pageOffset(int index) {
        return pageOffsets[index];
    }

    /// Our side, at [#offset].
    public MemorySegment memory(int index) {
        return memories[index];
    }

    public long offset(int index) {
        return offsets[index];
    }

    public int sizeBytes(int index) {
        return sizes[index];
    }

    /// [GrantStatus] of a piece.
    public int status(int index) {
        return statuses[index];
    }

    /// Records what came of a piece. For platforms.
    public void set(int index, int status) {
        statuses[index] = status;
    }
}
