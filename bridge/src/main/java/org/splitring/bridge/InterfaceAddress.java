package org.splitring.bridge;

import java.net.InetAddress;

/// An address of a router and the length of the subnet it is in, such as `10.0.0.1/24`.
///
/// @param address a host's own address, no group
/// @param bits of the subnet's prefix: 1 to 32, or to 128
public record InterfaceAddress(InetAddress address, int bits) {
    public InterfaceAddress {
        int all = address.getAddress().length * 8;
        String text = address.getHostAddress() + "/" + bits;
        if (bits < 1 || bits > all) {
            throw new IllegalArgumentException(text + ": not 1 to " + all + " bits");
        }
        if (address.isMulticastAddress()
                || address.isAnyLocalAddress()
                || address.isLoopbackAddress()
                || address.isLinkLocalAddress()) {
            throw new IllegalArgumentException(text + " cannot be routed");
        }
        if (all == 32 && bits < 31) {
            int host = IpWords.v4(address) & ~(-1 << (32 - bits));
            if (host == 0 || host == ~(-1 << (32 - bits))) {
                throw new IllegalArgumentException(
                        text + " is its subnet's own or broadcast address");
            }
        }
    }

    /// Reads an address with a length, such as `10.0.0.1/24`; without one it has no subnet.
    ///
    /// @throws IllegalArgumentException with the text that is none
    public static InterfaceAddress parse(String text) {
        int slash = text.indexOf('/');
        InetAddress address = InetAddress.ofLiteral(slash < 0 ? text : text.substring(0, slash));
        int all = address.getAddress().length * 8;
        try {
            return new InterfaceAddress(
                    address, slash < 0 ? all : Integer.parseInt(text.substring(slash + 1)));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("'" + text + "' has no prefix length", e);
        }
    }

    /// Whether hosts can make addresses of their own in the subnet (RFC 4862 §5.5.3).
    boolean isAutonomous() {
        return bits == 64 && !IpWords.isV4(address);
    }

    /// The prefix that hosts beside this address share.
    public IpPrefix subnet() {
        byte[] bytes = address.getAddress();
        for (int i = 0; i < bytes.length; i++) {
            int keep = Math.clamp(bits - 8L * i, 0, 8);
            bytes[i] &= (byte) (0xFF00 >>> keep);
        }
        return new IpPrefix(IpWords.address(bytes), bits);
    }

    @Override
    public String toString() {
        return address.getHostAddress() + "/" + bits;
    }
}
