package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;

/// The memory of one guest: pages of 4096 bytes, numbered from 0 (gfn).
///
/// The platform that made the segment owns it and says when it goes. Contents are hostile: the
/// guest may change any byte at any moment, so what is read is copied first.
///
/// @param segment native, page aligned, a whole number of pages
public record GuestMemory(MemorySegment segment) {
    /// Bytes of a page, on every machine: the ABI is in units of 4 KiB.
    public static final int PAGE_SIZE = 4096;

    public GuestMemory {
        if (!segment.isNative()
                || segment.address() % PAGE_SIZE != 0
                || segment.byteSize() % PAGE_SIZE != 0) {
            throw new IllegalArgumentException("not a page aligned native segment: " + segment);
        }
    }

    public int pageCount() {
        return (int) (segment.byteSize() / PAGE_SIZE);
    }

    /// Byte offset of page `gfn` in the segment.
    public static long offsetOf(int gfn) {
        return (long) gfn * PAGE_SIZE;
    }

    /// `count` pages from `gfn` on.
    public MemorySegment pages(int gfn, int count) {
        return segment.asSlice(offsetOf(gfn), (long) count * PAGE_SIZE);
    }
}
