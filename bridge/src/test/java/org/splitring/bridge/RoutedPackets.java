package org.splitring.bridge;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/// Packets for tests of routers, their checksums computed the plain way.
final class RoutedPackets {
    private RoutedPackets() {}

    static String text(byte[] address) {
        try {
            return InetAddress.getByAddress(address).getHostAddress();
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(e);
        }
    }

    static byte[] v4(String from, String to, int protocol, byte[] payload, int ttl, int fragment) {
        return v4(from, to, protocol, payload, ttl, fragment, 0x4242);
    }

    static byte[] v4(
            String from,
            String to,
            int protocol,
            byte[] payload,
            int ttl,
            int fragment,
            int id,
            byte... options) {
        ByteBuffer b = ByteBuffer.allocate(20 + options.length);
        b.put((byte) (0x45 + options.length / 4)).put((byte) 0);
        b.putShort((short) (b.capacity() + payload.length)).putShort((short) id);
        b.putShort((short) fragment).put((byte) ttl).put((byte) protocol).putShort((short) 0);
        b.put(Packets.address(from)).put(Packets.address(to)).put(options);
        b.putShort(10, (short) ~Packets.sum(b.array()));
        return Packets.join(b.array(), payload);
    }

    static byte[] v6(String from, String to, int protocol, byte[] payload, int hopLimit) {
        byte[] packet = Packets.ipv6(from, to, protocol, payload);
        packet[7] = (byte) hopLimit;
        return packet;
    }

    /// Fills the checksum of an upper layer in.
    static void fillChecksum(byte[] upper, int at, byte[] pseudo) {
        upper[at] = 0;
        upper[at + 1] = 0;
        int sum = ~Packets.sum(Packets.join(pseudo, upper)) & 0xFFFF;
        upper[at] = (byte) (sum >>> 8);
        upper[at + 1] = (byte) sum;
    }

    static byte[] pseudoV4(String from, String to, byte[] upper, int protocol) {
        return Packets.join(
                Packets.address(from),
                Packets.address(to),
                ByteBuffer.allocate(4)
                        .putShort((short) protocol)
                        .putShort((short) upper.length)
                        .array());
    }

    static byte[] pseudoV6(String from, String to, byte[] upper, int protocol) {
        return Packets.join(
                Packets.address(from),
                Packets.address(to),
                ByteBuffer.allocate(8).putInt(upper.length).putInt(protocol).array());
    }

    /// A UDP datagram with a right checksum.
    static byte[] udp(String from, int fromPort, String to, int toPort, byte[] data) {
        byte[] udp = Packets.udp(fromPort, toPort, 0, data);
        fillUdpChecksum(udp, pseudo(from, to, udp, 17));
        return udp;
    }

    static void fillUdpChecksum(byte[] udp, byte[] pseudo) {
        fillChecksum(udp, 6, pseudo);
        if (udp[6] == 0 && udp[7] == 0) { // that would say that there is none (RFC 768)
            udp[6] = -1;
            udp[7] = -1;
        }
    }

    /// A TCP segment with a right checksum.
    static byte[] tcp(String from, int fromPort, String to, int toPort, int flags, byte[] data) {
        byte[] tcp = Packets.tcp(fromPort, toPort, flags, 0, data, 0);
        fillChecksum(tcp, 16, pseudo(from, to, tcp, 6));
        return tcp;
    }

    private static byte[] pseudo(String from, String to, byte[] upper, int protocol) {
        return from.contains(":")
                ? pseudoV6(from, to, upper, protocol)
                : pseudoV4(from, to, upper, protocol);
    }

    /// An ICMP message of IPv4 with a right checksum.
    static byte[] icmp(int type, int code, int rest, byte[] data) {
        byte[] icmp =
                Packets.join(
                        new byte[] {(byte) type, (byte) code, 0, 0},
                        ByteBuffer.allocate(4).putInt(rest).array(),
                        data);
        fillChecksum(icmp, 2, new byte[0]);
        return icmp;
    }

    static byte[] icmpV6(String from, String to, int type, int code, int rest, byte[] data) {
        byte[] icmp = icmp(type, code, rest, data);
        fillChecksum(icmp, 2, pseudoV6(from, to, icmp, 58));
        return icmp;
    }

    /// The packet of a frame, without padding.
    static byte[] packet(byte[] frame) {
        int length = frame[14] >>> 4 == 4 ? Packets.u16(frame, 16) : 40 + Packets.u16(frame, 18);
        return Arrays.copyOfRange(frame, 14, 14 + length);
    }

    /// Whether every checksum of the packet is right; later fragments have only their header's.
    static boolean isSound(byte[] packet) {
        boolean v4 = packet[0] >>> 4 == 4;
        int l4 = v4 ? (packet[0] & 15) * 4 : 40;
        int protocol = packet[v4 ? 9 : 6] & 0xFF;
        if (v4 && Packets.sum(Arrays.copyOf(packet, l4)) != 0xFFFF) {
            return false;
        }
        if (v4 && (Packets.u16(packet, 6) & 0x3FFF) != 0) {
            return true;
        }
        byte[] upper = Arrays.copyOfRange(packet, l4, packet.length);
        if (protocol == 1) {
            return Packets.sum(upper) == 0xFFFF;
        }
        if (protocol == 17 && v4 && upper[6] == 0 && upper[7] == 0) {
            return true;
        }
        return (protocol != 6 && protocol != 17 && protocol != 58)
                || Packets.checksumIsRight(packet, 0, l4, protocol);
    }

    /// What a router makes of a packet: TTL or hop limit one less, the header's checksum new.
    static byte[] forwarded(byte[] packet) {
        byte[] next = packet.clone();
        if (next[0] >>> 4 == 6) {
            next[7]--;
            return next;
        }
        next[8]--;
        int l4 = (next[0] & 15) * 4;
        next[10] = 0;
        next[11] = 0;
        int sum = ~Packets.sum(Arrays.copyOf(next, l4));
        next[10] = (byte) (sum >>> 8);
        next[11] = (byte) sum;
        return next;
    }
}
