package org.splitring.bridge;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;

/// Packets for tests, and a checksum that is computed the plain way.
final class Packets {
    private Packets() {}

    static byte[] address(String literal) {
        return InetAddress.ofLiteral(literal).getAddress();
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    static byte[] counting(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 7 + 3);
        }
        return bytes;
    }

    /// Ethernet header, with tags as pairs of protocol and TCI.
    static byte[] ethernet(long to, long from, int type, int... tags) {
        ByteBuffer b = ByteBuffer.allocate(14 + 2 * tags.length);
        b.putShort((short) (to >>> 32)).putInt((int) to);
        b.putShort((short) (from >>> 32)).putInt((int) from);
        for (int tag : tags) {
            b.putShort((short) tag);
        }
        return b.putShort((short) type).array();
    }

    static byte[] ipv4(String from, String to, int protocol, byte[] payload, int optionBytes) {
        ByteBuffer b = ByteBuffer.allocate(20 + optionBytes);
        b.put((byte) (0x45 + optionBytes / 4)).put((byte) 0);
        b.putShort((short) (20 + optionBytes + payload.length));
        b.putInt(0x1234_4000).put((byte) 64).put((byte) protocol).putShort((short) 0);
        b.put(address(from)).put(address(to));
        Arrays.fill(b.array(), 20, 20 + optionBytes, (byte) 1);
        b.putShort(10, (short) (~sum(b.array()) & 0xFFFF));
        return join(b.array(), payload);
    }

    /// Extension headers come in order, each without its first byte (next header).
    static byte[] ipv6(
            String from, String to, int protocol, byte[] payload, int[] types, byte[]... bodies) {
        byte[] extensions = {};
        for (int i = 0; i < types.length; i++) {
            int next = i + 1 < types.length ? types[i + 1] : protocol;
            extensions = join(extensions, new byte[] {(byte) next}, bodies[i]);
        }
        ByteBuffer b = ByteBuffer.allocate(40);
        b.putInt(0x6000_0000).putShort((short) (extensions.length + payload.length));
        b.put((byte) (types.length > 0 ? types[0] : protocol)).put((byte) 64);
        b.put(address(from)).put(address(to));
        return join(b.array(), extensions, payload);
    }

    static byte[] ipv6(String from, String to, int protocol, byte[] payload) {
        return ipv6(from, to, protocol, payload, new int[0]);
    }

    /// A TCP segment whose checksum field is `checksum`.
    static byte[] tcp(int from, int to, int flags, int checksum, byte[] payload, int optionBytes) {
        ByteBuffer b = ByteBuffer.allocate(20 + optionBytes);
        b.putShort((short) from).putShort((short) to).putInt(0xFFFF_FF00).putInt(77);
        b.put((byte) (((20 + optionBytes) / 4) << 4)).put((byte) flags).putShort((short) 1000);
        b.putShort((short) checksum).putShort((short) 0);
        Arrays.fill(b.array(), 20, 20 + optionBytes, (byte) 1);
        return join(b.array(), payload);
    }

    static byte[] udp(int from, int to, int checksum, byte[] payload) {
        ByteBuffer b = ByteBuffer.allocate(8);
        b.putShort((short) from).putShort((short) to).putShort((short) (8 + payload.length));
        b.putShort((short) checksum);
        return join(b.array(), payload);
    }

    static byte[] arp(int operation, long senderMac, String sender, String target) {
        ByteBuffer b = ByteBuffer.allocate(28);
        b.putInt(0x0001_0800).putShort((short) 0x0604).putShort((short) operation);
        b.putShort((short) (senderMac >>> 32)).putInt((int) senderMac).put(address(sender));
        b.putShort((short) 0).putInt(0).put(address(target));
        return b.array();
    }

    /// Folded sum of 16-bit words, byte by byte.
    static int sum(byte[] bytes) {
        int sum = 0;
        for (int i = 0; i < bytes.length; i++) {
            sum += (bytes[i] & 0xFF) << (i % 2 == 0 ? 8 : 0);
            sum = (sum & 0xFFFF) + (sum >>> 16);
        }
        return sum;
    }

    /// Whether the transport checksum of an IP packet is right. Knows no extension headers: where
    /// the upper layer begins is told.
    static boolean checksumIsRight(byte[] frame, int l3At, int l4At, int protocol) {
        boolean v4 = frame[l3At] >>> 4 == 4;
        int length = u16(frame, l3At + (v4 ? 2 : 4));
        int end = l3At + (v4 ? 0 : 40) + length;
        byte[] addresses =
                v4
                        ? Arrays.copyOfRange(frame, l3At + 12, l3At + 20)
                        : Arrays.copyOfRange(frame, l3At + 8, l3At + 40);
        byte[] upper = Arrays.copyOfRange(frame, l4At, end);
        byte[] pseudo = ByteBuffer.allocate(8).putInt(upper.length).putInt(protocol).array();
        return sum(join(addresses, pseudo, upper)) == 0xFFFF;
    }

    static int u16(byte[] bytes, int at) {
        return (bytes[at] & 0xFF) << 8 | (bytes[at + 1] & 0xFF);
    }
}
