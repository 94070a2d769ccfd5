package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Datagrams that wait to be sent, in order, each with its receiver. Bounded by their number and
/// by their bytes; several receivers of the same bytes share them. One thread.
///
///     memory  0         tail                      head                bytes
///             +---------+----------+-----+--------+-------------------+
///             | free    | datagram | ..  |        | free              |
///             +---------+----------+-----+--------+-------------------+
///
/// The bytes of a datagram lie in one piece: what does not fit at the end is at the beginning, and
/// then the free part is in the middle.
public final class OutgoingDatagrams {
    /// What [#reserve] says when there is no room.
    public static final int NO_ROOM = -1;

    private final int capacity;
    private final int bytes;
    private final MemorySegment memory;
    private final MessageHeaders headers;
    private final int[] offsets;
    private final @Nullable SockAddr[] receivers; // kept alive for the kernel
    private int first;
    private int count;
    private int head;
    private int reservedAt;
    private int reservedBytes;

    /// @param capacity datagrams, a power of two
    /// @param bytes of all together, and most of one
    public OutgoingDatagrams(int capacity, int bytes) {
        if (Integer.bitCount(capacity) != 1) {
            throw new IllegalArgumentException(capacity + " is no power of two");
        }
        this.capacity = capacity;
        this.bytes = bytes;
        memory = Arena.ofAuto().allocate(bytes, 64);
        headers = new MessageHeaders(capacity);
        offsets = new int[capacity];
        receivers = new SockAddr[capacity];
    }

    /// Finds room for the bytes of a datagram. The caller writes them, and says to whom by [#add].
    ///
    /// @param sizeBytes 1 or more
    /// @param copies how often [#add] is called at most
    /// @return where in [#memory], or [#NO_ROOM]
    public int reserve(int sizeBytes, int copies) {
        Objects.checkIndex(sizeBytes - 1, Integer.MAX_VALUE);
        if (copies > capacity - count) {
            return NO_ROOM;
        }
        int at = place(sizeBytes);
        if (at != NO_ROOM) {
            reservedAt = at;
            reservedBytes = sizeBytes;
            head = at + sizeBytes;
        }
        return at;
    }

    private int place(int sizeBytes) {
        if (count == 0) {
            return sizeBytes <= bytes ? 0 : NO_ROOM;
        }
        int tail = offsets[first];
        if (head <= tail) { // never equal: what is free between them is never all used
            return sizeBytes < tail - head ? head : NO_ROOM;
        }
        if (sizeBytes <= bytes - head) {
            return head;
        }
        return sizeBytes < tail ? 0 : NO_ROOM;
    }

    /// Where the bytes are written.
    public MemorySegment memory() {
        return memory;
    }

    /// Appends the bytes that were reserved last as a datagram.
    public void add(SockAddr to) {
        if (count == capacity) {
            throw new IllegalStateException(count + " datagrams wait already");
        }
        int slot = (first + count) & (capacity - 1);
        headers.name(slot, to.address(), to.sizeBytes());
        headers.piece(slot, memory.address() + reservedAt, reservedBytes);
        offsets[slot] = reservedAt;
        receivers[slot] = to;
        count++;
    }

    /// How many wait.
    public int count() {
        return count;
    }

    /// Sends as many as the socket takes.
    ///
    /// @return 0 when none waits any more; or `-errno` of the one that is the first now:
    ///     `-EAGAIN` when it has to wait, others when it cannot be sent and is best dropped
    public int send(DatagramSocket through) {
        while (count > 0) {
            int sent;
            try {
                int contiguous = Math.min(count, capacity - first);
                sent = through.send(headers.address(first), contiguous);
            } finally {
                Reference.reachabilityFence(this);
            }
            if (sent <= 0) {
                return sent == 0 ? -Errno.EAGAIN : sent;
            }
            drop(sent);
        }
        return 0;
    }

    /// Forgets the first.
    public void dropFirst() {
        Objects.checkIndex(0, count);
        drop(1);
    }

    private void drop(int gone) {
        first = (first + gone) & (capacity - 1);
        count -= gone;
    }
}
