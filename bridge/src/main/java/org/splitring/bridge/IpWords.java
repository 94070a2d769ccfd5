package org.splitring.bridge;

import java.net.InetAddress;
import java.nio.ByteBuffer;

/// An IP address as two words, so that tables on the data path know one kind of key: IPv6 as it
/// is, IPv4 where RFC 4291 §2.5.5.2 maps it (`::ffff:0:0/96`). Packets of IPv6 with addresses of
/// that range are never accepted, so the two families cannot meet.
final class IpWords {
    /// The low word of 0.0.0.0; the high word of every IPv4 address is 0.
    static final long V4 = 0xFFFF_0000_0000L;

    private IpWords() {}

    static long high(InetAddress address) {
        byte[] bytes = address.getAddress();
        return bytes.length == 4 ? 0 : ByteBuffer.wrap(bytes).getLong(0);
    }

    static long low(InetAddress address) {
        byte[] bytes = address.getAddress();
        return bytes.length == 4
                ? ofV4(ByteBuffer.wrap(bytes).getInt())
                : ByteBuffer.wrap(bytes).getLong(8);
    }

    static long ofV4(int address) {
        return V4 | (address & 0xFFFF_FFFFL);
    }

    static boolean isV4(long high, long low) {
        return high == 0 && low >>> 32 == 0xFFFF;
    }

    static int v4(InetAddress address) {
        return ByteBuffer.wrap(address.getAddress()).getInt();
    }

    static boolean isV4(InetAddress address) {
        return address.getAddress().length == 4;
    }

    /// Length of a prefix in the common space.
    static int bits(IpPrefix prefix) {
        return isV4(prefix.address()) ? prefix.bits() + 96 : prefix.bits();
    }

    static long highMask(int bits) {
        return bits >= 64 ? -1L : bits == 0 ? 0 : -1L << (64 - bits);
    }

    static long lowMask(int bits) {
        return bits <= 64 ? 0 : -1L << (128 - bits);
    }

    static boolean contains(IpPrefix prefix, InetAddress address) {
        int bits = bits(prefix);
        return isV4(prefix.address()) == isV4(address)
                && (high(address) & highMask(bits)) == high(prefix.address())
                && (low(address) & lowMask(bits)) == low(prefix.address());
    }

    static InetAddress ofV4Address(int address) {
        return address(ByteBuffer.allocate(4).putInt(address).array());
    }

    static InetAddress address(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (java.net.UnknownHostException e) {
            throw new IllegalArgumentException(bytes.length + " bytes are no address", e);
        }
    }
}
