package org.splitring.driverdomain.lab;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.Optional;

/// An IPv4 or IPv6 address with a prefix length, as a lab file has it: a subnet, or an interface's
/// address in one.
///
/// @param address 4 or 16 bytes
/// @param bits of the prefix
public record LabPrefix(InetAddress address, int bits) {
    /// `10.0.0.0/24` or `2001:db8::/64`; nothing else, no name in particular.
    static Optional<LabPrefix> parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0 || !text.substring(slash + 1).matches("\\d{1,3}")) {
            return Optional.empty();
        }
        int bits = Integer.parseInt(text.substring(slash + 1));
        return address(text.substring(0, slash))
                .filter(address -> bits <= address.getAddress().length * 8)
                .map(address -> new LabPrefix(address, bits));
    }

    /// A literal address; a name is none, and is not looked up.
    static Optional<InetAddress> address(String text) {
        try {
            return text.indexOf('%') >= 0
                    ? Optional.empty()
                    : Optional.of(
                            text.indexOf(':') >= 0
                                    ? Inet6Address.ofLiteral(text)
                                    : Inet4Address.ofLiteral(text));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    public boolean isIpv4() {
        return address.getAddress().length == 4;
    }

    public boolean contains(InetAddress other) {
        byte[] mine = address.getAddress();
        byte[] its = other.getAddress();
        if (mine.length != its.length) {
            return false;
        }
        for (int bit = 0; bit < bits; bit++) {
            int mask = 0x80 >> (bit & 7);
            if (((mine[bit >> 3] ^ its[bit >> 3]) & mask) != 0) {
                return false;
            }
        }
        return true;
    }

    boolean overlaps(LabPrefix other) {
        return (contains(other.address) && bits <= other.bits)
                || (other.contains(address) && other.bits <= bits);
    }

    /// Whether the address is the first of its subnet, which is no host's.
    boolean isSubnet() {
        return Arrays.equals(address.getAddress(), edge((byte) 0));
    }

    /// Whether an IPv4 address is the last of its subnet, which is everybody's.
    boolean isBroadcast() {
        return isIpv4() && bits < 31 && Arrays.equals(address.getAddress(), edge((byte) -1));
    }

    private byte[] edge(byte fill) {
        byte[] edge = address.getAddress();
        for (int bit = bits; bit < edge.length * 8; bit++) {
            int mask = 0x80 >> (bit & 7);
            edge[bit >> 3] = (byte) ((edge[bit >> 3] & ~mask) | (fill & mask));
        }
        return edge;
    }

    @Override
    public String toString() {
        return address.getHostAddress() + "/" + bits;
    }
}
