package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/// Memory for the datagrams of one call, and for who sent them. Used again for the next call;
/// whoever needs a datagram longer copies it. One thread.
public final class IncomingDatagrams {
    private static final int MSG_TRUNC = 0x20;
    private static final int LINE_BYTES = 64;

    private final int capacity;
    private final int placeBytes;
    private final MemorySegment memory;
    private final MemorySegment names;
    private final MessageHeaders headers;
    private int count;

    /// @param capacity most datagrams of one call
    /// @param maxBytes of a datagram; what is longer is cut
    public IncomingDatagrams(int capacity, int maxBytes) {
        this.capacity = capacity;
        placeBytes = (maxBytes + LINE_BYTES - 1) & -LINE_BYTES;
        memory = Arena.ofAuto().allocate((long) capacity * placeBytes, LINE_BYTES);
        names = Arena.ofAuto().allocate((long) capacity * SockAddr.MAX_BYTES, 8);
        headers = new MessageHeaders(capacity);
        count = capacity;
        for (int i = 0; i < capacity; i++) {
            headers.piece(i, memory.address() + offset(i), maxBytes);
        }
    }

    public int capacity() {
        return capacity;
    }

    /// Receives what is there, up to [#capacity].
    ///
    /// @return how many. Fewer than the capacity when there is nothing left. Or `-errno`: `-EAGAIN`
    ///     when there is nothing, `-EBADF` after the socket was closed, others for what became of
    ///     something that was sent before
    public int receive(DatagramSocket from) {
        for (int i = 0; i < count; i++) { // of those that the kernel has written over
            headers.name(i, names.address() + nameOffset(i), SockAddr.MAX_BYTES);
        }
        int result;
        try {
            result = from.receive(headers.address(0), capacity);
        } finally {
            Reference.reachabilityFence(this);
        }
        count = Math.max(result, 0);
        return result;
    }

    /// Where all datagrams lie.
    public MemorySegment memory() {
        return memory;
    }

    /// Where the datagram `i` of the last call lies in [#memory].
    public long offset(int i) {
        return (long) i * placeBytes;
    }

    /// What there is of the datagram in [#memory].
    public int sizeBytes(int i) {
        return headers.sizeBytes(i);
    }

    /// Whether the datagram was longer than there is memory for.
    public boolean isCut(int i) {
        return (headers.flags(i) & MSG_TRUNC) != 0;
    }

    /// Whether the datagram was sent by this address and port, or Unix socket.
    public boolean isFrom(int i, SockAddr sender) {
        return sender.isAt(names, nameOffset(i), headers.nameBytes(i));
    }

    /// Whether the datagram was sent by this address, whatever its port.
    public boolean isFromHost(int i, SockAddr sender) {
        return sender.isHostAt(names, nameOffset(i), headers.nameBytes(i));
    }

    private static long nameOffset(int i) {
        return (long) i * SockAddr.MAX_BYTES;
    }
}
