package org.splitring.blkback;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.linux.IoVector;

/// The pages of a request, before and after they are mapped. Every request has one for eleven; a
/// few larger ones are lent to indirect requests, so that what a ring holds in memory does not grow
/// with the largest request times its slots.
final class SegmentList {
    final int[] grefs;

    /// First sector of each page, 0 to 7.
    final int[] firstSects;

    /// How many sectors of each page, 1 to 8; they end within the page.
    final int[] sectorCounts;

    /// Where each page is among the persistent grants, or -1 when the batch has it.
    final int[] persistentSlots;

    /// How many of those are filled in: the pages of the request, from when they are looked for
    /// until they are let go of.
    int persistentCount;

    final GrantBatch pages;
    final IoVector vector;

    /// Next of those that are not lent.
    @Nullable SegmentList next;

    /// @param capacity how many pages it can hold
    SegmentList(int capacity) {
        grefs = new int[capacity];
        firstSects = new int[capacity];
        sectorCounts = new int[capacity];
        persistentSlots = new int[capacity];
        pages = new GrantBatch(capacity);
        vector = new IoVector(capacity);
    }

    int capacity() {
        return grefs.length;
    }
}
