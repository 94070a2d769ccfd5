package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// What `recvmmsg` and `sendmmsg` take: a header for each datagram, of which each has one piece.
///
///     byte  0       8         16      24        32        40         48      56        64
///           +-------+---------+-------+---------+---------+----------+-------+---------+
///           | name  | namelen | iov   | iovlen  | control | ctl. len | flags | msg_len |
///           +-------+---------+-------+---------+---------+----------+-------+---------+
///           | struct msghdr of 64-bit Linux, 56 bytes                        | u32, pad|
///
/// Source: Linux `socket.h` (`struct mmsghdr`).
final class MessageHeaders {
    private static final int BYTES = 64;
    private static final int NAME = 0;
    private static final int NAME_BYTES = 8;
    private static final int IOV = 16;
    private static final int IOV_COUNT = 24;
    private static final int FLAGS = 48;
    private static final int SIZE = 56;
    private static final int IOVEC_BYTES = 16;

    private final MemorySegment headers;
    private final MemorySegment iovecs;

    MessageHeaders(int count) {
        headers = Arena.ofAuto().allocate((long) count * BYTES, 8);
        iovecs = Arena.ofAuto().allocate((long) count * IOVEC_BYTES, 8);
        for (int i = 0; i < count; i++) {
            headers.set(
                    ValueLayout.JAVA_LONG,
                    (long) i * BYTES + IOV,
                    iovecs.address() + (long) i * IOVEC_BYTES);
            headers.set(ValueLayout.JAVA_LONG, (long) i * BYTES + IOV_COUNT, 1);
        }
    }

    /// Of the header `i`; the memory is this object's.
    long address(int i) {
        return headers.address() + (long) i * BYTES;
    }

    void name(int i, long address, int sizeBytes) {
        headers.set(ValueLayout.JAVA_LONG, (long) i * BYTES + NAME, address);
        headers.set(ValueLayout.JAVA_INT, (long) i * BYTES + NAME_BYTES, sizeBytes);
    }

    int nameBytes(int i) {
        return headers.get(ValueLayout.JAVA_INT, (long) i * BYTES + NAME_BYTES);
    }

    void piece(int i, long address, int sizeBytes) {
        iovecs.set(ValueLayout.JAVA_LONG, (long) i * IOVEC_BYTES, address);
        iovecs.set(ValueLayout.JAVA_LONG, (long) i * IOVEC_BYTES + 8, sizeBytes);
    }

    int flags(int i) {
        return headers.get(ValueLayout.JAVA_INT, (long) i * BYTES + FLAGS);
    }

    /// Bytes that came.
    int sizeBytes(int i) {
        return headers.get(ValueLayout.JAVA_INT, (long) i * BYTES + SIZE);
    }
}
