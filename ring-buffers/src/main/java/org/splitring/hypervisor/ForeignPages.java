package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;

/// One backend device's window on the pages that a frontend granted to this domain.
///
/// Owned by one device: calls come from one thread at a time (its loop, or the control plane before
/// and after). No call trusts the frontend: reference, domid, flags and frame are checked at each
/// map, and the pin (`GTF_reading`, `GTF_writing`) is held in the entry until the last unmap.
public interface ForeignPages extends AutoCloseable {
    DomId frontend();

    /// Maps each element; every status is written, whatever happened to its neighbours.
    ///
    /// @return `true` when all elements are [GrantStatus#OKAY]; otherwise the caller unmaps the
    ///     batch, which undoes exactly the elements that were mapped
    boolean map(GrantBatch batch);

    /// Unmaps each element that [#map] mapped and marks it not mapped: its handle is -1, its memory
    /// [MemorySegment#NULL], its status what the unmapping answered. Elements that were never
    /// mapped keep their status. An element whose handle is not ours, or is no longer, gets
    /// [GrantStatus#BAD_HANDLE], and nothing else happens.
    void unmap(GrantBatch batch);

    /// Maps pages for long use, one after the other in one segment: a ring. Counts as one mapping
    /// per page. Readable and writable.
    ///
    /// @throws GrantException when any of them is refused; then none is mapped
    MemorySegment mapContiguous(int[] grefs) throws GrantException;

    /// Undoes [#mapContiguous]; the segment is the very one that it returned.
    void unmapContiguous(MemorySegment pages);

    /// Copies out of a granted page into private memory.
    ///
    /// @param pageOffset offset in the page; with `sizeBytes` it must stay within 4096
    /// @return a [GrantStatus]
    int copyFrom(int gref, int pageOffset, MemorySegment to, long toOffset, int sizeBytes);

    /// Copies into a granted, writable page. As [#copyFrom].
    int copyTo(int gref, int pageOffset, MemorySegment from, long fromOffset, int sizeBytes);

    /// Copies several pieces out, as [#copyFrom(int, int, MemorySegment, long, int)] each; every
    /// status is written, whatever happened to its neighbours.
    ///
    /// @return `true` when all are [GrantStatus#OKAY]
    default boolean copyFrom(GrantCopies copies) {
        boolean all = true;
        for (int i = 0; i < copies.size(); i++) {
            int status =
                    copyFrom(
                            copies.gref(i),
                            copies.pageOffset(i),
                            copies.memory(i),
                            copies.offset(i),
                            copies.sizeBytes(i));
            copies.set(i, status);
            all &= status == GrantStatus.OKAY;
        }
        return all;
    }

    /// Copies several pieces into granted, writable pages. As [#copyFrom(GrantCopies)].
    default boolean copyTo(GrantCopies copies) {
        boolean all = true;
        for (int i = 0; i < copies.size(); i++) {
            int status =
                    copyTo(
                            copies.gref(i),
                            copies.pageOffset(i),
                            copies.memory(i),
                            copies.offset(i),
                            copies.sizeBytes(i));
            copies.set(i, status);
            all &= status == GrantStatus.OKAY;
        }
        return all;
    }

    /// Whether copying pages that are used once costs less here than mapping them.
    default boolean isCopyingCheaper() {
        return false;
    }

    /// How many grants are mapped through this window now.
    int mappedCount();

    /// Unmaps at most `budget` pages: a teardown in slices, so that a guest with very many mappings
    /// does not hold up the loop for others (hostile catalogue H-064). From the first call on,
    /// nothing can be mapped any more.
    ///
    /// @return `true` when nothing is mapped any more; [#close] is then cheap
    boolean closeSome(int budget);

    /// Unmaps everything. Further calls fail with [GrantStatus#GENERAL_ERROR].
    @Override
    void close();
}
