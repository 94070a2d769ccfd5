package org.splitring.bridge;

import java.math.BigInteger;
import java.net.InetAddress;

/// A range of IP addresses that share their first bits, such as `10.0.0.0/8` or `2001:db8::/32`.
///
/// @param address with no bit set after the prefix
/// @param bits how many bits are shared: 0 to 32, or to 128
public record IpPrefix(InetAddress address, int bits) {
    /// IPv4 addresses are put where RFC 4291 maps them, `::ffff:0:0/96`, so that both families
    /// are one space.
    private static final BigInteger MAPPED = BigInteger.valueOf(0xFFFF).shiftLeft(32);

    public IpPrefix {
        int all = address.getAddress().length * 8;
        if (bits < 0 || bits > all) {
            throw new IllegalArgumentException(
                    address.getHostAddress() + "/" + bits + ": not 0 to " + all + " bits");
        }
        BigInteger value = new BigInteger(1, address.getAddress());
        if (value.getLowestSetBit() >= 0 && value.getLowestSetBit() < all - bits) {
            throw new IllegalArgumentException(
                    address.getHostAddress() + "/" + bits + ": bits are set after the prefix");
        }
    }

    /// Reads an address literal, with or without a length; no name is ever looked up.
    ///
    /// @throws IllegalArgumentException with the text that is none
    public static IpPrefix parse(String text) {
        int slash = text.indexOf('/');
        InetAddress address = InetAddress.ofLiteral(slash < 0 ? text : text.substring(0, slash));
        if (slash < 0) {
            return new IpPrefix(address, address.getAddress().length * 8);
        }
        try {
            return new IpPrefix(address, Integer.parseInt(text.substring(slash + 1)));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("'" + text + "' has no prefix length", e);
        }
    }

    private int mappedBits() {
        return address.getAddress().length == 4 ? bits + 96 : bits;
    }

    BigInteger first() {
        BigInteger value = new BigInteger(1, address.getAddress());
        return address.getAddress().length == 4 ? value.add(MAPPED) : value;
    }

    BigInteger last() {
        return first().add(BigInteger.ONE.shiftLeft(128 - mappedBits())).subtract(BigInteger.ONE);
    }

    @Override
    public String toString() {
        return address.getHostAddress() + "/" + bits;
    }
}
