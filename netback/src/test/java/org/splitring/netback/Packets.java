package org.splitring.netback;

import java.nio.ByteBuffer;

/// Frames for tests, written by hand: what is tested does not write them.
@SuppressWarnings("ByteBufferBackingArray") // all of them are made here
final class Packets {
    private Packets() {}

    static byte[] mac(int domid) {
        return new byte[] {0, 0x16, 0x3e, 0, 0, (byte) domid};
    }

    static byte[] broadcast() {
        return new byte[] {-1, -1, -1, -1, -1, -1};
    }

    /// A frame of some other protocol, of the whole size given, with bytes that tell places apart.
    static byte[] frame(byte[] to, byte[] from, int sizeBytes) {
        ByteBuffer frame = ByteBuffer.allocate(sizeBytes);
        frame.put(to).put(from).putShort((short) 0x88B5);
        for (int i = 14; i < sizeBytes; i++) {
            frame.put((byte) (i * 31 + (i >>> 8) * 7));
        }
        return frame.array();
    }

    /// UDP or TCP over IPv4, with a checksum or with the sum of the pseudo header in its place.
    static byte[] ip4(byte[] to, byte[] from, int protocol, int payloadBytes, boolean blank) {
        int l4Bytes = protocol == 6 ? 20 : 8;
        ByteBuffer frame = ByteBuffer.allocate(14 + 20 + l4Bytes + payloadBytes);
        frame.put(to).put(from).putShort((short) 0x0800);
        frame.put((byte) 0x45).put((byte) 0).putShort((short) (20 + l4Bytes + payloadBytes));
        frame.putInt(0).put((byte) 64).put((byte) protocol).putShort((short) 0);
        frame.putInt(0x0A000000 | from[5]).putInt(0x0A000000 | to[5]);
        frame.putShort(24, (short) ~fold(sum(frame.array(), 14, 34)));
        putL4(frame, 34, protocol, payloadBytes);
        long pseudo = sum(frame.array(), 26, 34) + protocol + l4Bytes + payloadBytes;
        finish(frame, 34, protocol, pseudo, blank);
        return frame.array();
    }

    /// The same over IPv6.
    static byte[] ip6(byte[] to, byte[] from, int protocol, int payloadBytes, boolean blank) {
        int l4Bytes = protocol == 6 ? 20 : 8;
        ByteBuffer frame = ByteBuffer.allocate(14 + 40 + l4Bytes + payloadBytes);
        frame.put(to).put(from).putShort((short) 0x86DD);
        frame.putInt(0x60000000).putShort((short) (l4Bytes + payloadBytes));
        frame.put((byte) protocol).put((byte) 64);
        frame.putLong(0xFD00_0000_0000_0000L).putLong(from[5]);
        frame.putLong(0xFD00_0000_0000_0000L).putLong(to[5]);
        putL4(frame, 54, protocol, payloadBytes);
        long pseudo = sum(frame.array(), 22, 54) + protocol + l4Bytes + payloadBytes;
        finish(frame, 54, protocol, pseudo, blank);
        return frame.array();
    }

    private static void putL4(ByteBuffer frame, int at, int protocol, int payloadBytes) {
        frame.putShort(at, (short) 1234).putShort(at + 2, (short) 80);
        int payloadAt = at + 8;
        if (protocol == 6) {
            frame.putInt(at + 4, 1000).put(at + 12, (byte) 0x50).put(at + 13, (byte) 0x10);
            frame.putShort(at + 14, (short) 0x7FFF);
            payloadAt = at + 20;
        } else {
            frame.putShort(at + 4, (short) (8 + payloadBytes));
        }
        for (int i = payloadAt; i < frame.capacity(); i++) {
            frame.put(i, (byte) (i * 37 + (i >>> 8)));
        }
    }

    private static void finish(
            ByteBuffer frame, int l4At, int protocol, long pseudo, boolean blank) {
        int field = l4At + (protocol == 6 ? 16 : 6);
        if (blank) {
            frame.putShort(field, (short) fold(pseudo));
        } else {
            frame.putShort(
                    field, (short) ~fold(pseudo + sum(frame.array(), l4At, frame.capacity())));
        }
    }

    /// Whether the transport checksum of a frame over IPv4 or IPv6, without options, is right.
    static boolean hasGoodChecksum(byte[] frame) {
        boolean v6 = ByteBuffer.wrap(frame).getShort(12) == (short) 0x86DD;
        int l4At = v6 ? 54 : 34;
        int protocol = v6 ? frame[20] : frame[23];
        long sum =
                sum(frame, v6 ? 22 : 26, l4At)
                        + protocol
                        + (frame.length - l4At)
                        + sum(frame, l4At, frame.length);
        return fold(sum) == 0xFFFF;
    }

    static long sum(byte[] bytes, int from, int to) {
        long sum = 0;
        for (int i = from; i < to; i++) {
            int value = bytes[i] & 0xFF;
            sum += (i - from) % 2 == 0 ? value << 8 : value;
        }
        return sum;
    }

    static int fold(long sum) {
        long folded = sum;
        while (folded >>> 16 != 0) {
            folded = (folded & 0xFFFF) + (folded >>> 16);
        }
        return (int) folded;
    }
}
