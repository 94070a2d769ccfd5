package org.splitring.bridge;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// The checksum of RFC 1071, over bytes that lie in several places.
///
/// Sums are `long` and not folded until the end: they are made of 16-bit words in network
/// order, and
/// 2^47 of those would have to be added before one wraps.
final class InternetChecksum {
    private static final ValueLayout.OfInt LITTLE_INT =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LITTLE_LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private InternetChecksum() {}

    /// Adds up the words of a range that starts on an even byte of what is summed; an odd last
    /// byte counts as if a zero followed.
    ///
    /// @return the sum, folded to 16 bits
    static int sum(MemorySegment memory, long offset, int length) {
        // Summed in little-endian words, eight bytes a time, and swapped once: the sum of swapped
        // words is the swapped sum (RFC 1071, 2 B).
        long sum = 0;
        long at = offset;
        long end = offset + length;
        for (; at + 8 <= end; at += 8) {
            long word = memory.get(LITTLE_LONG, at);
            sum += (word & 0xFFFF_FFFFL) + (word >>> 32);
        }
        if (at + 4 <= end) {
            sum += memory.get(LITTLE_INT, at) & 0xFFFF_FFFFL;
            at += 4;
        }
        for (int shift = 0; at < end; at++, shift ^= 8) {
            sum += (long) Byte.toUnsignedInt(memory.get(ValueLayout.JAVA_BYTE, at)) << shift;
        }
        return swap(fold(sum));
    }

    /// Sums up bytes of a frame, header and pieces, wherever the pieces begin.
    ///
    /// @return not folded
    static long sum(Frame frame, int from, int end) {
        long sum = 0;
        int at = from;
        if (at < frame.headerBytes()) {
            int n = Math.min(end, frame.headerBytes()) - at;
            sum = sum(frame.header(), frame.headerStart() + at, n);
            at += n;
        }
        int pieceAt = frame.headerBytes();
        for (int i = 0; at < end; i++) {
            int pieceEnd = pieceAt + frame.pieceBytes(i);
            if (at < pieceEnd) {
                int n = Math.min(end, pieceEnd) - at;
                int part = sum(frame.pieceMemory(i), frame.pieceOffset(i) + (at - pieceAt), n);
                // A piece that begins on an odd byte has its words the other way round.
                sum += (at - from & 1) == 0 ? part : swap(part);
                at += n;
            }
            pieceAt = pieceEnd;
        }
        return sum;
    }

    /// The sum of the pseudo header of the packet's upper layer (RFC 9293 §3.1, RFC 8200 §8.1).
    ///
    /// @return not folded
    static long pseudoHeader(Frame frame, FrameLayers layers) {
        return addresses(frame, layers) + layers.ipProtocol + (layers.ipEnd - layers.l4At);
    }

    /// The part of [#pseudoHeader] that is the two addresses.
    static long addresses(Frame frame, FrameLayers layers) {
        return layers.ipVersion == 4
                ? sum(frame.header(), frame.headerStart() + layers.l3At + 12, 8)
                : sum(frame.header(), frame.headerStart() + layers.l3At + 8, 32);
    }

    /// To 16 bits, with the carries added again.
    static int fold(long sum) {
        long folded = (sum & 0xFFFF_FFFFL) + (sum >>> 32);
        folded = (folded & 0xFFFF) + (folded >>> 16);
        folded = (folded & 0xFFFF) + (folded >>> 16);
        return (int) ((folded & 0xFFFF) + (folded >>> 16));
    }

    /// What goes into a checksum field for a sum. TCP and UDP write 0 as 0xFFFF, which is the same
    /// number in ones' complement; for UDP 0 means that there is none.
    static int field(long sum) {
        int value = ~fold(sum) & 0xFFFF;
        return value == 0 ? 0xFFFF : value;
    }

    /// A complete checksum field after one word of what it covers has changed (RFC 1624, eqn. 3).
    static int updated(int field, int oldWord, int newWord) {
        return ~fold((~field & 0xFFFFL) + (~oldWord & 0xFFFFL) + newWord) & 0xFFFF;
    }

    private static int swap(int word) {
        return (word & 0xFF) << 8 | word >>> 8;
    }

    /// Writes the header checksum of an IPv4 packet.
    static void writeIpv4Header(Frame frame, FrameLayers layers) {
        frame.putU16(layers.l3At + 10, 0);
        int sum = sum(frame.header(), frame.headerStart() + layers.l3At, layers.l4At - layers.l3At);
        frame.putU16(layers.l3At + 10, ~sum & 0xFFFF);
    }

    /// Computes the checksum of a frame that has a partial one and writes it into the private
    /// header. The bytes that are summed may change before they are copied, when the sender wants
    /// so: it then sends a packet with a wrong checksum, as it could have done anyway.
    static void complete(Frame frame) {
        int start = frame.checksumStart();
        FrameLayers layers = frame.layers();
        // Padding of short frames is no part of the packet.
        int end = layers.ipVersion != 0 && layers.l4At == start ? layers.ipEnd : frame.sizeBytes();
        int at = start + frame.checksumOffset();
        frame.putU16(at, field(sum(frame, start, end)));
        frame.completeChecksum(ChecksumState.COMPLETE_VERIFIED);
    }
}
