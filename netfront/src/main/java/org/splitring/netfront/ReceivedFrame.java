package org.splitring.netfront;

import java.lang.foreign.MemorySegment;

/// A frame that has come, as a view of the pages that it lies in: valid during the call of
/// [VifUser#received], and used again for the next one.
///
/// The pages can change while one looks: the backend is not trusted. Sizes and places are checked
/// before, and stay.
public final class ReceivedFrame {
    /// Most pieces: 18 slots must be understood, more are not.
    static final int MAX_PIECES = 18;

    private final MemorySegment memory;
    private final int queue;
    private final long[] offsets = new long[MAX_PIECES];
    private final int[] sizes = new int[MAX_PIECES];
    private int pieces;
    private int sizeBytes;
    private FrameChecksum checksum = FrameChecksum.UNKNOWN;
    private FrameSegmentation segmentation = FrameSegmentation.NONE;
    private int segmentBytes;
    private int hashType;
    private int hash;
    private final FrameHeaders headers = new FrameHeaders();

    ReceivedFrame(MemorySegment memory, int queue) {
        this.memory = memory;
        this.queue = queue;
    }

    void reset() {
        pieces = 0;
        sizeBytes = 0;
        checksum = FrameChecksum.UNKNOWN;
        segmentation = FrameSegmentation.NONE;
        segmentBytes = 0;
        hashType = 0;
    }

    /// Adds a piece at the end.
    ///
    /// @return `false` when it has too many pieces
    boolean append(long offset, int size) {
        if (pieces == MAX_PIECES) {
            return false;
        }
        offsets[pieces] = offset;
        sizes[pieces] = size;
        pieces++;
        sizeBytes += size;
        return true;
    }

    void checksum(FrameChecksum state) {
        checksum = state;
    }

    void segmentation(FrameSegmentation type, int bytes) {
        segmentation = type;
        segmentBytes = bytes;
    }

    void hash(int type, int value) {
        hashType = type;
        hash = value;
    }

    /// All bytes of the frame: 14 to 73728.
    public int sizeBytes() {
        return sizeBytes;
    }

    /// The queue that it came through.
    public int queue() {
        return queue;
    }

    /// How many pieces it lies in, 1 to 18; none crosses a page.
    public int pieces() {
        return pieces;
    }

    /// The memory that all pieces lie in.
    public MemorySegment memory() {
        return memory;
    }

    /// Where in [#memory] piece `i` begins.
    public long offset(int i) {
        return offsets[i];
    }

    /// How many bytes piece `i` has, 0 to 4096.
    public int size(int i) {
        return sizes[i];
    }

    public FrameChecksum checksum() {
        return checksum;
    }

    public FrameSegmentation segmentation() {
        return segmentation;
    }

    /// Payload bytes of each segment (virtio: `gso_size`); 0 without segmentation.
    public int segmentBytes() {
        return segmentBytes;
    }

    /// Type of [#hash] as a bit of `NetifCtrlLayout.HASH_TYPE_*`; 0 when there is none.
    public int hashType() {
        return hashType;
    }

    /// The backend's hash of the flow.
    public int hash() {
        return hash;
    }

    /// Looks for the transport checksum of a frame, for those who must say where a partial one is
    /// (virtio: `csum_start`, `csum_offset`, `hdr_len`). It looks at a copy of the headers.
    ///
    /// @return `false` when the frame is not TCP or UDP over IP, or is a fragment
    public boolean findChecksum() {
        return headers.find(this);
    }

    /// First byte that the checksum sums up; after [#findChecksum].
    public int checksumStart() {
        return headers.l4At();
    }

    /// Where its field is, from [#checksumStart]; after [#findChecksum].
    public int checksumOffset() {
        return headers.checksumOffset();
    }

    /// Bytes of all headers, the transport's included; after [#findChecksum].
    public int headerBytes() {
        return headers.headerBytes();
    }

    /// Writes the folded sum of the pseudo header where the checksum is.
    ///
    /// @return `false` when there is none, or it does not lie within the first page
    boolean writePseudoHeader() {
        if (!headers.find(this)) {
            return false;
        }
        int at = headers.l4At() + headers.checksumOffset();
        if (at + 2 > sizes[0]) {
            return false;
        }
        memory.set(FrameHeaders.U16, offsets[0] + at, (short) headers.pseudoHeaderSum());
        return true;
    }

    /// Copies bytes of the frame.
    ///
    /// @param from first byte of the frame
    /// @throws IndexOutOfBoundsException when the frame or the target ends before
    public void copyTo(MemorySegment target, long targetOffset, int from, int length) {
        if (from < 0 || length < 0 || from > sizeBytes - length) {
            throw new IndexOutOfBoundsException(
                    "from " + from + " length " + length + " of " + sizeBytes);
        }
        int skip = from;
        int left = length;
        long to = targetOffset;
        for (int i = 0; left > 0; i++) {
            int n = Math.min(sizes[i] - skip, left);
            if (n > 0) {
                MemorySegment.copy(memory, offsets[i] + skip, target, to, n);
                to += n;
                left -= n;
                skip = 0;
            } else {
                skip -= sizes[i];
            }
        }
    }
}
