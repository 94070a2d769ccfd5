package org.splitring.netfront;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.GuestMemory;

/// A frame that is being written into granted pages, and then sent. One for each queue, used again
/// for the next frame.
///
///     byte 0              4096               8192
///          +------------------+------------------+--- - -
///          | page 0           | page 1           | page 2
///          +------------------+------------------+--- - -
///
/// Whoever acquired it writes the bytes, page after page, sets what is known of the checksum and
/// the segmentation, and calls [#send] or [#cancel] before returning to the loop.
public final class TxFrame {
    private final TxRing ring;
    private final MemorySegment memory;
    private final int[] ids;
    private final long[] offsets;
    private int pages;
    private boolean open;
    private int appended;
    private FrameChecksum checksum = FrameChecksum.UNKNOWN;
    private FrameSegmentation segmentation = FrameSegmentation.NONE;
    private int segmentBytes;

    TxFrame(TxRing ring, MemorySegment memory, int maxPages) {
        this.ring = ring;
        this.memory = memory;
        ids = new int[maxPages];
        offsets = new long[maxPages];
    }

    void begin() {
        if (open) {
            throw new IllegalStateException(
                    "the frame acquired before was neither sent nor given back");
        }
        open = true;
        pages = 0;
        appended = 0;
        checksum = FrameChecksum.UNKNOWN;
        segmentation = FrameSegmentation.NONE;
        segmentBytes = 0;
    }

    void addPage(int id, long offset) {
        ids[pages] = id;
        offsets[pages] = offset;
        pages++;
    }

    int id(int page) {
        return ids[page];
    }

    boolean isOpen() {
        return open;
    }

    void end() {
        open = false;
    }

    /// How many pages there are to write into.
    public int pages() {
        return pages;
    }

    /// The memory that all pages lie in.
    public MemorySegment memory() {
        return memory;
    }

    /// Where in [#memory] page `i` begins; it has 4096 bytes.
    public long offset(int i) {
        return offsets[i];
    }

    /// Copies bytes to the end of what was appended so far.
    ///
    /// @throws IndexOutOfBoundsException when the pages are full
    public void append(MemorySegment from, long fromOffset, int length) {
        int left = length;
        long at = fromOffset;
        if (length < 0 || length > pages * GuestMemory.PAGE_SIZE - appended) {
            throw new IndexOutOfBoundsException(
                    length + " bytes after " + appended + " in " + pages + " pages");
        }
        while (left > 0) {
            int inPage = appended % GuestMemory.PAGE_SIZE;
            int n = Math.min(left, GuestMemory.PAGE_SIZE - inPage);
            MemorySegment.copy(
                    from, at, memory, offsets[appended / GuestMemory.PAGE_SIZE] + inPage, n);
            appended += n;
            at += n;
            left -= n;
        }
    }

    /// Says what is known of the checksum; [FrameChecksum#UNKNOWN] when nobody says.
    public void checksum(FrameChecksum state) {
        checksum = state;
    }

    FrameChecksum checksum() {
        return checksum;
    }

    /// Says that the frame is one large segment; its checksum must be partial.
    ///
    /// @param bytes payload of each segment, 1 to 65535 (virtio: `gso_size`)
    public void segmentation(FrameSegmentation type, int bytes) {
        if (type != FrameSegmentation.NONE && (bytes < 1 || bytes > 0xFFFF)) {
            throw new IllegalArgumentException("segments of " + bytes + " bytes");
        }
        segmentation = type;
        segmentBytes = bytes;
    }

    FrameSegmentation segmentation() {
        return segmentation;
    }

    int segmentBytes() {
        return segmentBytes;
    }

    /// Sends what was appended. The backend hears of it at the next [VifFrontend#flush].
    public void send() {
        send(appended);
    }

    /// Sends the first `sizeBytes` bytes of the pages: what was written there by other means.
    ///
    /// @throws IllegalArgumentException when it is no frame that the backend takes: smaller than an
    ///     Ethernet header, larger than [VifFeatures#maxFrameBytes], or than the pages
    public void send(int sizeBytes) {
        if (!open) {
            return; // the backend has gone meanwhile, and the frame with it
        }
        if (sizeBytes < 14
                || sizeBytes > ring.maxFrameBytes()
                || sizeBytes > pages * GuestMemory.PAGE_SIZE) {
            throw new IllegalArgumentException(
                    "frame of "
                            + sizeBytes
                            + " bytes in "
                            + pages
                            + " pages: not between 14 and "
                            + ring.maxFrameBytes());
        }
        ring.send(this, sizeBytes);
        open = false;
    }

    /// Gives the pages back.
    public void cancel() {
        if (open) {
            ring.giveBack(this, 0);
            open = false;
        }
    }
}
