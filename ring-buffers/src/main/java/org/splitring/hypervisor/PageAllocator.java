package org.splitring.hypervisor;

import java.util.BitSet;

/// Hands out pages of a guest's own memory. Any thread; for the control plane: a device takes its
/// pages at connect and reuses them.
///
/// Pages are zeroed before they are handed out, so that nothing old is granted to a backend
/// (hostile catalogue H-086).
public final class PageAllocator {
    private final GuestMemory memory;
    private final BitSet used = new BitSet();

    /// @param memory whose pages are given out
    /// @param reservedPages how many pages from 0 on belong to the platform (grant table, start
    /// page)
    public PageAllocator(GuestMemory memory, int reservedPages) {
        this.memory = memory;
        used.set(0, reservedPages);
    }

    /// Takes `count` adjacent pages.
    ///
    /// @return the first gfn, or -1 when there are not so many together
    public synchronized int allocate(int count) {
        if (count <= 0) {
            throw new IllegalArgumentException("page count " + count);
        }
        int pageCount = memory.pageCount();
        int start = used.nextClearBit(0);
        while (start + count <= pageCount) {
            int end = used.nextSetBit(start);
            if (end < 0 || end - start >= count) {
                used.set(start, start + count);
                memory.pages(start, count).fill((byte) 0);
                return start;
            }
            start = used.nextClearBit(end);
        }
        return -1;
    }

    /// Gives pages back. A page that is still granted must not come here: see [GrantTable].
    public synchronized void free(int gfn, int count) {
        if (used.nextClearBit(gfn) < gfn + count) {
            throw new IllegalStateException(
                    "free of pages not in use: gfn " + gfn + " count " + count);
        }
        used.clear(gfn, gfn + count);
    }

    public synchronized int freeCount() {
        return memory.pageCount() - used.cardinality();
    }
}
