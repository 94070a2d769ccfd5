package org.splitring.bridge;

import java.net.InetAddress;
import java.nio.ByteBuffer;

/// [AddressPins] made ready for the data path. The work for a frame has a bound that the guest has
/// no say in: the number of pinned addresses, and of options in the private header.
final class PinCheck {
    private static final int ROUTER_ADVERTISEMENT = 134;
    private static final int NEIGHBOUR_ADVERTISEMENT = 136;
    private static final int ROUTER_SOLICITATION = 133;
    private static final int NEIGHBOUR_SOLICITATION = 135;
    private static final int REDIRECT = 137;
    private static final int MLD_QUERY = 130;
    private static final int IGMP_QUERY = 0x11;

    private final long[] macs;
    private final boolean pinsAddresses;
    private final int[] ipv4;
    // Pairs of high and low half: the addresses, then the link-local ones of the MACs.
    private final long[] ipv6;

    PinCheck(AddressPins pins) {
        macs = pins.macs().stream().mapToLong(MacAddress::value).toArray();
        pinsAddresses = !pins.addresses().isEmpty();
        ipv4 =
                pins.addresses().stream()
                        .map(InetAddress::getAddress)
                        .filter(a -> a.length == 4)
                        .mapToInt(a -> ByteBuffer.wrap(a).getInt())
                        .toArray();
        long[][] halves =
                pins.addresses().stream()
                        .map(InetAddress::getAddress)
                        .filter(a -> a.length == 16)
                        .map(ByteBuffer::wrap)
                        .map(b -> new long[] {b.getLong(0), b.getLong(8)})
                        .toArray(long[][]::new);
        ipv6 = new long[2 * (halves.length + macs.length)];
        int n = 0;
        for (long[] half : halves) {
            ipv6[n++] = half[0];
            ipv6[n++] = half[1];
        }
        for (long mac : macs) {
            ipv6[n++] = 0xFE80_0000_0000_0000L;
            ipv6[n++] = interfaceId(mac);
        }
    }

    /// The modified EUI-64 identifier of RFC 4291, appendix A.
    static long interfaceId(long mac) {
        long high = (mac >>> 24 ^ 0x02_0000) & 0xFF_FFFF;
        return high << 40 | 0xFF_FE00_0000L | (mac & 0xFF_FFFF);
    }

    /// Whether the port may send this frame.
    boolean admits(Frame frame) {
        if (macs.length == 0) {
            return true;
        }
        long source = frame.mac(6);
        if (!contains(macs, source)) {
            return false;
        }
        FrameLayers layers = frame.layers();
        return switch (layers.etherType) {
            case FrameLayers.ARP -> admitsArp(frame, layers, source);
            case FrameLayers.IPV4 -> !pinsAddresses || admitsIpv4(frame, layers);
            case FrameLayers.IPV6 -> admitsIpv6(frame, layers, source);
            // More tags than are looked behind, or a protocol that could carry IP in disguise
            // (802.3
            // with SNAP): nobody who is pinned to an IP address needs it.
            default -> !pinsAddresses;
        };
    }

    /// RFC 826: hardware and protocol type and sizes, operation, sender MAC at 8 and IP at 14.
    private boolean admitsArp(Frame frame, FrameLayers layers, long source) {
        int at = layers.l3At;
        if (at + 28 > frame.headerBytes()
                || frame.i32(at) != 0x0001_0800
                || frame.u16(at + 4) != 0x0604) {
            return false;
        }
        if (frame.mac(at + 8) != source) {
            return false;
        }
        int sender = frame.i32(at + 14);
        return !pinsAddresses || sender == 0 || contains(ipv4, sender);
    }

    private boolean admitsIpv4(Frame frame, FrameLayers layers) {
        if (layers.ipVersion != 4) {
            return false;
        }
        int source = frame.i32(layers.l3At + 12);
        if (source == 0) {
            return layers.ipProtocol == FrameLayers.UDP
                    && !layers.fragment
                    && layers.hasPorts(frame)
                    && frame.i32(layers.l4At) == (68 << 16 | 67);
        }
        if (layers.ipProtocol == FrameLayers.IGMP
                && (!layers.hasL4(frame, 8) || frame.u8(layers.l4At) == IGMP_QUERY)) {
            return false;
        }
        return contains(ipv4, source);
    }

    private boolean admitsIpv6(Frame frame, FrameLayers layers, long source) {
        if (layers.ipVersion != 6) {
            // Headers that do not make sense, or more of them than are looked behind: neighbour
            // discovery could hide there.
            return false;
        }
        if (pinsAddresses) {
            long high = frame.i64(layers.l3At + 8);
            long low = frame.i64(layers.l3At + 16);
            if ((high | low) != 0 && !containsIpv6(high, low)) {
                return false;
            }
        }
        if (layers.ipProtocol != FrameLayers.ICMPV6 || layers.fragmentOffset != 0) {
            return true;
        }
        if (!layers.hasL4(frame, 4)) {
            return false;
        }
        int type = frame.u8(layers.l4At);
        return switch (type) {
            case ROUTER_ADVERTISEMENT, REDIRECT, MLD_QUERY -> !pinsAddresses;
            case ROUTER_SOLICITATION -> admitsOptions(frame, layers, 8, source);
            case NEIGHBOUR_SOLICITATION -> admitsOptions(frame, layers, 24, source);
            case NEIGHBOUR_ADVERTISEMENT ->
                    layers.hasL4(frame, 24)
                            && (!pinsAddresses
                                    || containsIpv6(
                                            frame.i64(layers.l4At + 8),
                                            frame.i64(layers.l4At + 16)))
                            && admitsOptions(frame, layers, 24, source);
            default -> true;
        };
    }

    /// Whether each link-layer option (types 1 and 2, RFC 4861 §4.6) of a neighbour discovery
    /// packet
    /// names the sender of the frame. Fragments of such packets are dropped (RFC 6980).
    private boolean admitsOptions(Frame frame, FrameLayers layers, int from, long source) {
        if (layers.fragment) {
            return false;
        }
        int at = layers.l4At + from;
        if (layers.ipEnd > frame.headerBytes()) {
            return false; // options that cannot be seen
        }
        while (at < layers.ipEnd) {
            if (at + 8 > layers.ipEnd) {
                return false;
            }
            int units = frame.u8(at + 1);
            if (units == 0) {
                return false;
            }
            int type = frame.u8(at);
            if ((type == 1 || type == 2) && frame.mac(at + 2) != source) {
                return false;
            }
            at += units * 8;
        }
        return true;
    }

    private boolean containsIpv6(long high, long low) {
        for (int i = 0; i < ipv6.length; i += 2) {
            if (ipv6[i] == high && ipv6[i + 1] == low) {
                return true;
            }
        }
        return false;
    }

    private static boolean contains(long[] all, long one) {
        for (long each : all) {
            if (each == one) {
                return true;
            }
        }
        return false;
    }

    private static boolean contains(int[] all, int one) {
        for (int each : all) {
            if (each == one) {
                return true;
            }
        }
        return false;
    }
}
