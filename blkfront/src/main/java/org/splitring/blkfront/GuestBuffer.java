package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/// Adjacent pages of the guest's memory that a disk transfer goes to or comes from. The payload is
/// put there and taken from there directly: nothing is copied on the way to the ring.
///
/// Between `VbdFrontend.acquire` and `VbdFrontend.release` it belongs to the caller, except that a
/// transfer under way has it to itself. During a transfer the backend may read and, for a read,
/// write the pages; afterwards they are private again.
///
/// Used on the device's loop. The object is reused with its pages: do not keep it after release.
public final class GuestBuffer {
    private final MemorySegment pool;
    private final int firstPage;
    private int pageCount;
    private @Nullable MemorySegment segment;
    private @Nullable ByteBuffer bytes;
    private boolean acquired;

    /// @param pool all pages that buffers are made of
    GuestBuffer(MemorySegment pool, int firstPage) {
        this.pool = pool;
        this.firstPage = firstPage;
    }

    /// The pages as memory: [#capacityBytes] bytes.
    public MemorySegment segment() {
        MemorySegment pages = segment;
        if (pages == null) {
            pages =
                    pool.asSlice(
                            (long) firstPage * BufferPool.PAGE_SIZE,
                            (long) pageCount * BufferPool.PAGE_SIZE);
            segment = pages;
        }
        return pages;
    }

    /// The pages as a buffer: always the same one for a run of the same length; the caller sets
    /// position and limit.
    public ByteBuffer bytes() {
        ByteBuffer view = bytes;
        if (view == null) {
            view = segment().asByteBuffer();
            bytes = view;
        }
        return view;
    }

    public int capacityBytes() {
        return pageCount * BufferPool.PAGE_SIZE;
    }

    int firstPage() {
        return firstPage;
    }

    int pageCount() {
        return pageCount;
    }

    boolean contains(int page) {
        return page >= firstPage && page < firstPage + pageCount;
    }

    boolean isAcquired() {
        return acquired;
    }

    void acquire(int pages) {
        if (pages != pageCount) {
            pageCount = pages;
            segment = null;
            bytes = null;
        }
        acquired = true;
    }

    void release() {
        acquired = false;
    }
}
