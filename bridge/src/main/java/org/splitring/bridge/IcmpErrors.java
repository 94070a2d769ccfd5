package org.splitring.bridge;

/// Tells senders why their packets went no further (RFC 792, RFC 1812 §4.3, RFC 4443). Limited for
/// each port, and never about an error, a group or broadcast, or a later fragment.
///
/// An error goes back to where the packet came from: that port and that MAC address. It quotes
/// what was received, so headers that were changed on the way are put back first. The network's
/// loop.
final class IcmpErrors {
    /// RFC 1812 §4.3.2.3: an error is not larger than 576 bytes.
    private static final int QUOTED_V4 = 576 - 28;

    /// RFC 4443 §2.4: nor than the smallest MTU of IPv6.
    private static final int QUOTED_V6 = 1280 - 48;

    private final RouterCounters counters;
    private final OutgoingPacket out;

    IcmpErrors(RouterCounters counters, OutgoingPacket out) {
        this.counters = counters;
        this.out = out;
    }

    private boolean admits(RouterPort to, long nowNanos) {
        if (!to.errors.take(1, nowNanos)) {
            counters.add(RouterCounter.ERRORS_LIMITED);
            return false;
        }
        counters.add(RouterCounter.ERRORS_SENT);
        return true;
    }

    /// Sends an error about an IPv4 packet.
    ///
    /// @param rest the second word of the message: the MTU, or 0
    /// @param source the router's address; nothing is sent when it is 0
    void v4(RouterPort to, Frame about, int type, int code, int rest, int source, long nowNanos) {
        FrameLayers layers = about.layers();
        int at = layers.l3At;
        if (layers.fragmentOffset != 0
                || (about.mac(0) & MacAddress.GROUP_BIT) != 0
                || source == 0
                || !Ipv4Path.isHost(about.i32(at + 12))
                || (layers.ipProtocol == FrameLayers.ICMP
                        && (!layers.hasL4(about, 1) || Icmp.isError(about.u8(layers.l4At))))) {
            return;
        }
        if (!admits(to, nowNanos)) {
            return;
        }
        out.ipv4(about.mac(6), to.side.mac, FrameLayers.ICMP, source, about.i32(at + 12));
        out.u8(type).u8(code).u16(0).i32(rest);
        out.bytes(about, at, Math.min(layers.ipEnd - at, QUOTED_V4));
        out.sendTo(to.link);
    }

    /// Sends an error about an IPv6 packet.
    ///
    /// @param rest the second word of the message: the MTU, a pointer, or 0
    void v6(
            RouterPort to,
            Frame about,
            int type,
            int code,
            int rest,
            long sourceHigh,
            long sourceLow,
            long nowNanos) {
        FrameLayers layers = about.layers();
        int at = layers.l3At;
        long high = about.i64(at + 8);
        long low = about.i64(at + 16);
        if (layers.fragmentOffset != 0
                || (about.mac(0) & MacAddress.GROUP_BIT) != 0
                || (high | low) == 0
                || high >>> 56 == 0xFF
                || (layers.ipProtocol == FrameLayers.ICMPV6
                        && (!layers.hasL4(about, 1)
                                || about.u8(layers.l4At) < 128
                                || about.u8(layers.l4At) == Icmp.V6_REDIRECT))) {
            return;
        }
        if (!admits(to, nowNanos)) {
            return;
        }
        out.ipv6(
                about.mac(6),
                to.side.mac,
                FrameLayers.ICMPV6,
                OutgoingPacket.TTL,
                sourceHigh,
                sourceLow,
                high,
                low);
        out.u8(type).u8(code).u16(0).i32(rest);
        out.bytes(about, at, Math.min(layers.ipEnd - at, QUOTED_V6));
        out.sendTo(to.link);
    }

    /// Resets a TCP connection to a port that nobody listens on (RFC 9293 §3.5.2).
    ///
    /// @param segment to the router itself, no reset, with its header of 20 bytes in place
    void reset(RouterPort to, Frame segment, long nowNanos) {
        FrameLayers layers = segment.layers();
        int at = layers.l3At;
        int l4 = layers.l4At;
        int flags = segment.u8(l4 + 13);
        if ((flags & 0x04) != 0 || !admits(to, nowNanos)) {
            return;
        }
        boolean acknowledges = (flags & 0x10) != 0;
        int data =
                layers.ipEnd
                        - l4
                        - GsoCutter.tcpHeaderBytes(segment, layers)
                        + (flags & 1)
                        + (flags >>> 1 & 1);
        if (layers.ipVersion == 4) {
            out.ipv4(
                    segment.mac(6),
                    to.side.mac,
                    FrameLayers.TCP,
                    segment.i32(at + 16),
                    segment.i32(at + 12));
        } else {
            out.ipv6(
                    segment.mac(6),
                    to.side.mac,
                    FrameLayers.TCP,
                    OutgoingPacket.TTL,
                    segment.i64(at + 24),
                    segment.i64(at + 32),
                    segment.i64(at + 8),
                    segment.i64(at + 16));
        }
        out.u16(segment.u16(l4 + 2)).u16(segment.u16(l4));
        out.i32(acknowledges ? segment.i32(l4 + 8) : 0);
        out.i32(acknowledges ? 0 : segment.i32(l4 + 4) + data);
        out.u16(acknowledges ? 0x5004 : 0x5014).u16(0).i32(0);
        out.sendTo(to.link);
    }
}
