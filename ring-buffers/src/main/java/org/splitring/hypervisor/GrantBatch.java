package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/// Several grants that are mapped or unmapped in one call, with a status per element.
///
/// A device queue owns one and reuses it: no call allocates. The caller fills in grant references
/// ([#add]); [ForeignPages#map] fills in status, handle and place; the caller looks at **every**
/// status. Statuses start as [GrantStatus#GENERAL_ERROR], so that an element nobody touched never
/// reads as okay (hostile catalogue H-074).
public final class GrantBatch {
    final int[] grefs;
    final boolean[] writable;
    final int[] statuses;
    final int[] handles;
    final MemorySegment[] memories;
    final long[] offsets;
    private int size;

    /// @param capacity how many elements it can hold
    public GrantBatch(int capacity) {
        grefs = new int[capacity];
        writable = new boolean[capacity];
        statuses = new int[capacity];
        handles = new int[capacity];
        memories = new MemorySegment[capacity];
        offsets = new long[capacity];
        Arrays.fill(memories, MemorySegment.NULL);
    }

    /// Forgets all elements. What is still mapped stays mapped: unmap first.
    public void clear() {
        size = 0;
    }

    /// Appends one element.
    ///
    /// @param gref a grant reference of the frontend, unchecked
    /// @param forWriting whether the page is to be written through this mapping
    public void add(int gref, boolean forWriting) {
        grefs[size] = gref;
        writable[size] = forWriting;
        statuses[size] = GrantStatus.GENERAL_ERROR;
        handles[size] = -1;
        size++;
    }

    public int size() {
        return size;
    }

    public int capacity() {
        return grefs.length;
    }

    public int gref(int index) {
        return grefs[index];
    }

    public boolean writable(int index) {
        return writable[index];
    }

    /// [GrantStatus] of an element.
    public int status(int index) {
        return statuses[index];
    }

    /// Handle of a mapped element, needed for its unmapping; -1 otherwise.
    public int handle(int index) {
        return handles[index];
    }

    /// Memory in which a mapped page lies; the page starts at [#offset].
    public MemorySegment memory(int index) {
        return memories[index];
    }

    /// Byte offset of the mapped page in [#memory].
    public long offset(int index) {
        return offsets[index];
    }

    /// Records what an operation did to an element. For platforms.
    public void set(int index, int status, int handle, MemorySegment memory, long offset) {
        statuses[index] = status;
        handles[index] = handle;
        memories[index] = memory;
        offsets[index] = offset;
    }
}
