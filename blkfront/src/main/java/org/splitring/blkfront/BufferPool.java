package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/// Cuts a run of guest pages into buffers. Called on the device's loop; in steady state nothing is
/// allocated: each page has its buffer object, made at its first use.
final class BufferPool {
    static final int PAGE_SIZE = 4096;

    private final MemorySegment pool;
    private final int pageCount;
    private final BitSet used = new BitSet();
    private final BitSet lost = new BitSet();
    private final @Nullable GuestBuffer[] buffers;
    private int searchFrom;

    /// @param pool whole pages
    BufferPool(MemorySegment pool) {
        this.pool = pool;
        this.pageCount = (int) (pool.byteSize() / PAGE_SIZE);
        this.buffers = new GuestBuffer[pageCount];
    }

    int pageCount() {
        return pageCount;
    }

    int freePages() {
        return pageCount - used.cardinality();
    }

    /// Takes adjacent pages for at least that many bytes; null when there are not so many together.
    @Nullable GuestBuffer acquire(int sizeBytes) {
        if (sizeBytes <= 0 || sizeBytes > pageCount * PAGE_SIZE) {
            throw new IllegalArgumentException(
                    "buffer of " + sizeBytes + " bytes from a pool of " + pageCount * PAGE_SIZE);
        }
        int pages = (sizeBytes + PAGE_SIZE - 1) / PAGE_SIZE;
        // Next fit: equal sizes fall into the same places again, and the search is short.
        int start = find(pages, searchFrom, pageCount);
        if (start < 0) {
            start = find(pages, 0, pageCount);
        }
        if (start < 0) {
            return null;
        }
        used.set(start, start + pages);
        searchFrom = start + pages;
        GuestBuffer buffer = buffers[start];
        if (buffer == null) {
            buffer = new GuestBuffer(pool, start);
            buffers[start] = buffer;
        }
        buffer.acquire(pages);
        return buffer;
    }

    void release(GuestBuffer buffer) {
        if (!buffer.isAcquired() || buffers[buffer.firstPage()] != buffer) {
            throw new IllegalStateException("buffer is not in use: page " + buffer.firstPage());
        }
        buffer.release();
        int start = buffer.firstPage();
        int end = start + buffer.pageCount();
        for (int page = start; page < end; page++) {
            if (!lost.get(page)) {
                used.clear(page);
            }
        }
    }

    /// Takes a page out of circulation: the backend holds on to it.
    void lose(int page) {
        used.set(page);
        lost.set(page);
    }

    /// The backend has let go after all.
    void regain(int page) {
        lost.clear(page);
        for (GuestBuffer buffer : buffers) {
            if (buffer != null && buffer.isAcquired() && buffer.contains(page)) {
                return; // it is free when that is released
            }
        }
        used.clear(page);
    }

    boolean isLost(int page) {
        return lost.get(page);
    }

    private int find(int pages, int from, int to) {
        int start = used.nextClearBit(from);
        while (start + pages <= to) {
            int end = used.nextSetBit(start);
            if (end < 0 || end - start >= pages) {
                return start;
            }
            start = used.nextClearBit(end);
        }
        return -1;
    }
}
