package org.splitring.netfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Where the transport header of a frame is, found on a private copy of its first bytes. Whatever
/// is in them, looking ends: two tags and eight extension headers at most.
final class FrameHeaders {
    static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private static final int COPY_BYTES = 256;
    private static final int MAX_TAGS = 2;
    private static final int MAX_EXTENSIONS = 8;
    private static final int TCP = 6;
    private static final int UDP = 17;

    private final MemorySegment copy = Arena.ofAuto().allocate(COPY_BYTES, 8);
    private int known;
    private int l3At;
    private int l4At;
    private int protocol;
    private int payloadEnd;
    private boolean v6;

    boolean find(ReceivedFrame frame) {
        known = Math.min(frame.sizeBytes(), COPY_BYTES);
        frame.copyTo(copy, 0, 0, known);
        int type = known < 14 ? 0 : u16(12);
        l3At = 14;
        for (int tags = 0; tags < MAX_TAGS && isTag(type) && l3At + 4 <= known; tags++) {
            type = u16(l3At + 2);
            l3At += 4;
        }
        boolean found = type == 0x0800 ? findV4() : type == 0x86DD && findV6();
        return found
                && payloadEnd <= frame.sizeBytes()
                && l4At + (protocol == TCP ? 20 : 8) <= Math.min(known, payloadEnd)
                && l4At + (protocol == TCP ? tcpBytes() : 8) <= payloadEnd;
    }

    private static boolean isTag(int type) {
        return type == 0x8100 || type == 0x88A8;
    }

    private boolean findV4() {
        if (l3At + 20 > known) {
            return false;
        }
        v6 = false;
        protocol = u8(l3At + 9);
        l4At = l3At + (u8(l3At) & 15) * 4;
        payloadEnd = l3At + u16(l3At + 2);
        boolean fragment = (u16(l3At + 6) & 0x3FFF) != 0;
        return u8(l3At) >>> 4 == 4 && l4At >= l3At + 20 && !fragment && hasChecksum();
    }

    private boolean findV6() {
        if (l3At + 40 > known) {
            return false;
        }
        v6 = true;
        protocol = u8(l3At + 6);
        l4At = l3At + 40;
        payloadEnd = l4At + u16(l3At + 4);
        for (int i = 0; i < MAX_EXTENSIONS && isExtension(protocol); i++) {
            if (l4At + 8 > known) {
                return false;
            }
            protocol = u8(l4At);
            l4At += (u8(l4At + 1) + 1) * 8;
        }
        return u8(l3At) >>> 4 == 6 && hasChecksum();
    }

    /// Hop by hop, routing, destination; a fragment has no checksum of its own.
    private static boolean isExtension(int number) {
        return number == 0 || number == 43 || number == 60;
    }

    private boolean hasChecksum() {
        return protocol == TCP || protocol == UDP;
    }

    private int tcpBytes() {
        return (u8(l4At + 12) >>> 4) * 4;
    }

    int l4At() {
        return l4At;
    }

    int checksumOffset() {
        return protocol == TCP ? 16 : 6;
    }

    int headerBytes() {
        return l4At + (protocol == TCP ? tcpBytes() : 8);
    }

    /// The folded sum of the pseudo header, not inverted.
    int pseudoHeaderSum() {
        int at = v6 ? l3At + 8 : l3At + 12;
        int bytes = v6 ? 32 : 8;
        int sum = protocol + (payloadEnd - l4At);
        for (int i = 0; i < bytes; i += 2) {
            sum += u16(at + i);
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xFFFF) + (sum >>> 16);
        }
        return sum;
    }

    private int u8(int at) {
        return Byte.toUnsignedInt(copy.get(ValueLayout.JAVA_BYTE, at));
    }

    private int u16(int at) {
        return Short.toUnsignedInt(copy.get(U16, at));
    }
}
