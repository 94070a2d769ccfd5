package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Pieces of memory that one transfer reads into or writes from, in order. A queue owns one and
/// reuses it: no call allocates. Pieces that touch in memory become one.
///
/// The pieces are kept twice: as the kernel's `struct iovec` array, and as segments with offset and
/// length, so that a store which is no file can serve the same request.
///
///     byte  0             8             16            24
///           +-------------+-------------+-------------+----
///           | iov_base[0] | iov_len[0]  | iov_base[1] | ..
///           +-------------+-------------+-------------+----
public final class IoVector {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final long IOVEC_SIZE = 16;
    private static final MemorySegment ZEROS = Arena.global().allocate(65536, 4096).asReadOnly();

    private final MemorySegment iovecs;
    private final @Nullable MemorySegment[] memories;
    private final long[] offsets;
    private final long[] lengths;
    private int first;
    private int end;
    private long remainingBytes;

    /// @param capacity how many pieces it can hold
    public IoVector(int capacity) {
        iovecs = Arena.ofAuto().allocate(capacity * IOVEC_SIZE, 8);
        memories = new MemorySegment[capacity];
        offsets = new long[capacity];
        lengths = new long[capacity];
    }

    /// Forgets all pieces.
    public void clear() {
        Arrays.fill(memories, 0, end, null);
        first = 0;
        end = 0;
        remainingBytes = 0;
    }

    /// Appends a piece.
    ///
    /// @param memory native; it must stay valid until the transfer is done
    public void add(MemorySegment memory, long offset, long sizeBytes) {
        if (offset < 0 || sizeBytes < 0 || offset > memory.byteSize() - sizeBytes) {
            throw new IndexOutOfBoundsException(
                    "offset " + offset + " size " + sizeBytes + " of " + memory.byteSize());
        }
        if (sizeBytes == 0) {
            return;
        }
        if (!memory.isNative()) {
            throw new IllegalArgumentException("heap memory: " + memory);
        }
        remainingBytes += sizeBytes;
        int last = end - 1;
        if (last >= first
                && memory.equals(memories[last])
                && offsets[last] + lengths[last] == offset) {
            lengths[last] += sizeBytes;
            iovecs.set(LONG, last * IOVEC_SIZE + 8, lengths[last]);
            return;
        }
        if (end == memories.length) {
            remainingBytes -= sizeBytes;
            throw new IllegalStateException("more than " + memories.length + " pieces");
        }
        memories[end] = memory;
        offsets[end] = offset;
        lengths[end] = sizeBytes;
        iovecs.set(LONG, end * IOVEC_SIZE, memory.address() + offset);
        iovecs.set(LONG, end * IOVEC_SIZE + 8, sizeBytes);
        end++;
    }

    /// Appends the first bytes of another vector, which stays as it is.
    ///
    /// @return how many bytes: fewer than asked when the other has fewer, or has more pieces than
    ///     there is room for
    public long addFrom(IoVector other, long sizeBytes) {
        long added = 0;
        for (int i = 0; i < other.size() && added < sizeBytes && end < memories.length; i++) {
            long length = Math.min(other.length(i), sizeBytes - added);
            add(other.memory(i), other.offset(i), length);
            added += length;
        }
        return added;
    }

    /// Copies bytes into the pieces, and drops what they filled.
    ///
    /// @throws IllegalArgumentException when the pieces have less room
    public void put(MemorySegment from, long offset, long sizeBytes) {
        checkRoom(sizeBytes);
        for (long done = 0; done < sizeBytes; ) {
            long length = Math.min(length(0), sizeBytes - done);
            MemorySegment.copy(from, offset + done, memory(0), offset(0), length);
            advance(length);
            done += length;
        }
    }

    /// Fills the first `sizeBytes` with zeros, and drops them.
    ///
    /// @throws IllegalArgumentException when the pieces have less room
    public void putZeros(long sizeBytes) {
        checkRoom(sizeBytes);
        for (long left = sizeBytes; left > 0; ) {
            long length = Math.min(left, ZEROS.byteSize());
            put(ZEROS, 0, length);
            left -= length;
        }
    }

    /// Copies bytes out of the pieces, and drops them.
    ///
    /// @throws IllegalArgumentException when the pieces have fewer
    public void take(MemorySegment into, long offset, long sizeBytes) {
        checkRoom(sizeBytes);
        for (long done = 0; done < sizeBytes; ) {
            long length = Math.min(length(0), sizeBytes - done);
            MemorySegment.copy(memory(0), offset(0), into, offset + done, length);
            advance(length);
            done += length;
        }
    }

    private void checkRoom(long sizeBytes) {
        if (sizeBytes < 0 || sizeBytes > remainingBytes) {
            throw new IllegalArgumentException(sizeBytes + " bytes of " + remainingBytes);
        }
    }

    /// Drops the first `sizeBytes`: they have been transferred.
    public void advance(long sizeBytes) {
        if (sizeBytes < 0 || sizeBytes > remainingBytes) {
            throw new IllegalArgumentException("advance " + sizeBytes + " of " + remainingBytes);
        }
        remainingBytes -= sizeBytes;
        long left = sizeBytes;
        while (left > 0) {
            long length = lengths[first];
            if (left < length) {
                offsets[first] += left;
                lengths[first] = length - left;
                long iovec = first * IOVEC_SIZE;
                iovecs.set(LONG, iovec, iovecs.get(LONG, iovec) + left);
                iovecs.set(LONG, iovec + 8, length - left);
                return;
            }
            left -= length;
            memories[first] = null;
            first++;
        }
    }

    /// How many pieces are left.
    public int size() {
        return end - first;
    }

    public int capacity() {
        return memories.length;
    }

    /// How many bytes are left, in all pieces together.
    public long remainingBytes() {
        return remainingBytes;
    }

    /// Memory of the piece `index`, of [#size].
    public MemorySegment memory(int index) {
        MemorySegment memory = memories[position(index)];
        if (memory == null) {
            throw new IllegalStateException("piece " + index + " is empty");
        }
        return memory;
    }

    /// Where the piece starts in its memory.
    public long offset(int index) {
        return offsets[position(index)];
    }

    /// Length of the piece in bytes.
    public long length(int index) {
        return lengths[position(index)];
    }

    /// What the addresses and lengths of the pieces that are left are all multiples of: a power of
    /// two.
    ///
    /// @throws IllegalStateException when nothing is left
    public long alignment() {
        long bits = 0;
        for (int i = first; i < end; i++) {
            bits |= iovecs.get(LONG, i * IOVEC_SIZE) | lengths[i];
        }
        if (bits == 0) {
            throw new IllegalStateException("nothing is left");
        }
        return Long.lowestOneBit(bits);
    }

    /// Address of the `struct iovec` array of the pieces that are left.
    long address() {
        return iovecs.address() + first * IOVEC_SIZE;
    }

    private int position(int index) {
        if (index < 0 || index >= end - first) {
            throw new IndexOutOfBoundsException("piece " + index + " of " + (end - first));
        }
        return first + index;
    }
}
