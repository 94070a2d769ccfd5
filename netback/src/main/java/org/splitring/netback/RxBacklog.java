package org.splitring.netback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.bridge.Frame;

/// Frames that wait for slots of the rx ring, copied into private memory: first in, first out, with
/// a bound in bytes and one in frames. The memory is taken when the first frame has to wait, so
/// that an idle guest costs none.
///
/// A frame lies in one piece; where it does not fit before the end of the memory, it begins at the
/// start.
final class RxBacklog {
    /// Half a ring of pages, as Linux has it.
    static final int MAX_BYTES = 512 << 10;

    static final int MAX_FRAMES = 1024;

    private static final int MASK = MAX_FRAMES - 1;

    private MemorySegment memory = MemorySegment.NULL;
    private final int[] positions = new int[MAX_FRAMES];
    private final int[] sizes = new int[MAX_FRAMES];
    private final int[] flags = new int[MAX_FRAMES];
    private final int[] gsoTypes = new int[MAX_FRAMES];
    private final int[] gsoSizes = new int[MAX_FRAMES];
    private final int[] hashTypes = new int[MAX_FRAMES];
    private final int[] hashes = new int[MAX_FRAMES];
    private final long[] arrivals = new long[MAX_FRAMES];
    private int first; // free running
    private int next; // free running
    private int bytes;

    boolean isEmpty() {
        return first == next;
    }

    int frames() {
        return next - first;
    }

    int bytes() {
        return bytes;
    }

    MemorySegment memory() {
        return memory;
    }

    /// Copies a frame to the end.
    ///
    /// @return `false` when there is no room: the frame is to be dropped
    boolean add(Frame frame, RxMark mark, long nowNanos) {
        int size = frame.sizeBytes();
        int at = place(size);
        if (at < 0) {
            return false;
        }
        if (memory.byteSize() == 0) {
            memory = Arena.ofAuto().allocate(MAX_BYTES, 64);
        }
        frame.copyTo(memory, at, 0, size);
        int i = next & MASK;
        positions[i] = at;
        sizes[i] = size;
        flags[i] = mark.flags;
        gsoTypes[i] = mark.gsoType;
        gsoSizes[i] = mark.gsoSizeBytes;
        hashTypes[i] = mark.hashType;
        hashes[i] = mark.hash;
        arrivals[i] = nowNanos;
        next++;
        bytes += size;
        return true;
    }

    /// @return where so many bytes fit, or -1
    private int place(int size) {
        if (isEmpty()) {
            return 0;
        }
        if (frames() == MAX_FRAMES) {
            return -1;
        }
        int last = (next - 1) & MASK;
        int end = positions[last] + sizes[last];
        int begin = positions[first & MASK];
        if (positions[last] >= begin) { // not wrapped: room behind, or at the start
            if (MAX_BYTES - end >= size) {
                return end;
            }
            return size <= begin ? 0 : -1;
        }
        return size <= begin - end ? end : -1;
    }

    /// Where the oldest frame lies in [#memory].
    int headPosition() {
        return positions[first & MASK];
    }

    int headSize() {
        return sizes[first & MASK];
    }

    /// When the oldest frame came.
    long headArrival() {
        return arrivals[first & MASK];
    }

    /// What is to be said of the oldest frame.
    void headMark(RxMark into) {
        int i = first & MASK;
        into.flags = flags[i];
        into.gsoType = gsoTypes[i];
        into.gsoSizeBytes = gsoSizes[i];
        into.hashType = hashTypes[i];
        into.hash = hashes[i];
    }

    /// Forgets the oldest frame.
    void remove() {
        bytes -= headSize();
        first++;
    }

    /// Forgets all of them, and gives the memory back.
    void clear() {
        first = next;
        bytes = 0;
        memory = MemorySegment.NULL;
    }
}
