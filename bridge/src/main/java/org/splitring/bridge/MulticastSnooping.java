package org.splitring.bridge;

/// Reads IGMP (RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810) on their way through a switch.
///
/// While somebody asks (a querier was heard within [#QUERIER_SECONDS]), a group's frames go to
/// the ports that
/// reported it, and to those where queries came from; while nobody asks, everywhere, since
/// hosts then do not
/// repeat their reports. Reports go to routers only (RFC 4541 §2.1.1), so that one host's
/// report does
/// not keep another one silent. The network's loop.
final class MulticastSnooping {
    /// RFC 3376 §8.5: other querier present interval.
    static final int QUERIER_SECONDS = 255;

    private static final int IGMP_QUERY = 0x11;
    private static final int IGMP_V1_REPORT = 0x12;
    private static final int IGMP_V2_REPORT = 0x16;
    private static final int IGMP_LEAVE = 0x17;
    private static final int IGMP_V3_REPORT = 0x22;
    private static final int MLD_QUERY = 130;
    private static final int MLD_REPORT = 131;
    private static final int MLD_DONE = 132;
    private static final int MLD_V2_REPORT = 143;

    private static final int CHANGE_TO_INCLUDE = 3;
    private static final int IS_INCLUDE = 1;
    private static final int BLOCK = 6;

    /// What a frame to a group is.
    static final int DATA = 0;

    static final int QUERY = 1;
    static final int REPORT = 2;

    private final int[] queriedUntil = new int[VirtualNetwork.MAX_PORTS];
    private final boolean[] queried = new boolean[VirtualNetwork.MAX_PORTS];
    private int activeUntil;
    private boolean active;

    /// Whether groups are told apart now.
    boolean isActive(int nowSecond) {
        if (active && activeUntil - nowSecond <= 0) {
            active = false;
        }
        return active;
    }

    /// Whether queries come from that port.
    boolean isRouter(int index, int nowSecond) {
        return queried[index] && queriedUntil[index] - nowSecond > 0;
    }

    void forget(int index) {
        queried[index] = false;
    }

    /// Whether a group is never told apart: 224.0.0.0/24, all nodes and the like, solicited nodes.
    static boolean isAlwaysFlooded(long mac) {
        return (mac & ~0xFFL) == 0x0100_5E00_0000L
                || (mac & ~0xFFL) == 0x3333_0000_0000L
                || mac >>> 24 == 0x33_33FF;
    }

    /// Looks at a frame to a group.
    ///
    /// @param vlan of the frame, above the address in the keys of groups
    /// @return [#DATA], [#QUERY] or [#REPORT]
    int snoop(Frame frame, SwitchPort from, int vlan, int nowSecond) {
        FrameLayers layers = frame.layers();
        if (layers.ipProtocol == FrameLayers.IGMP && layers.ipVersion == 4) {
            return igmp(frame, layers, from, vlan, nowSecond);
        }
        if (layers.ipProtocol == FrameLayers.ICMPV6 && layers.ipVersion == 6) {
            return mld(frame, layers, from, vlan, nowSecond);
        }
        return DATA;
    }

    private int igmp(Frame frame, FrameLayers layers, SwitchPort from, int vlan, int nowSecond) {
        if (!layers.hasL4(frame, 8)) {
            return DATA;
        }
        int at = layers.l4At;
        switch (frame.u8(at)) {
            case IGMP_QUERY -> {
                // A query from 0.0.0.0 is a switch's own, and no router listens there.
                if (frame.i32(layers.l3At + 12) != 0) {
                    query(from, nowSecond);
                }
                return QUERY;
            }
            case IGMP_V1_REPORT, IGMP_V2_REPORT ->
                    from.groups.join(ipv4Key(vlan, frame.i32(at + 4)), nowSecond);
            case IGMP_LEAVE -> from.groups.leave(ipv4Key(vlan, frame.i32(at + 4)), nowSecond);
            case IGMP_V3_REPORT -> records(frame, layers, from, vlan, nowSecond, 4);
            default -> {
                return DATA;
            }
        }
        return REPORT;
    }

    private int mld(Frame frame, FrameLayers layers, SwitchPort from, int vlan, int nowSecond) {
        if (!layers.hasL4(frame, 8)) {
            return DATA;
        }
        int at = layers.l4At;
        int type = frame.u8(at);
        boolean addressed = layers.hasL4(frame, 24);
        switch (type) {
            case MLD_QUERY -> {
                if ((frame.i64(layers.l3At + 8) | frame.i64(layers.l3At + 16)) != 0) {
                    query(from, nowSecond);
                }
                return QUERY;
            }
            case MLD_REPORT -> {
                if (addressed) {
                    from.groups.join(ipv6Key(vlan, frame.i32(at + 20)), nowSecond);
                }
            }
            case MLD_DONE -> {
                if (addressed) {
                    from.groups.leave(ipv6Key(vlan, frame.i32(at + 20)), nowSecond);
                }
            }
            case MLD_V2_REPORT -> records(frame, layers, from, vlan, nowSecond, 16);
            default -> {
                return DATA;
            }
        }
        return REPORT;
    }

    /// Group records of IGMPv3 (RFC 3376 §4.2) and MLDv2 (RFC 3810 §5.2): type, length of what
    /// follows the sources in 32-bit words, number of sources, group, sources.
    private static void records(
            Frame frame,
            FrameLayers layers,
            SwitchPort from,
            int vlan,
            int nowSecond,
            int addressBytes) {
        int count = frame.u16(layers.l4At + 6);
        int at = layers.l4At + 8;
        int end = Math.min(layers.ipEnd, frame.headerBytes());
        for (int i = 0; i < count; i++) {
            if (at + 4 + addressBytes > end) {
                // More than the private header holds, or a lie.
                from.groups.joinAll(nowSecond);
                return;
            }
            int type = frame.u8(at);
            int sources = frame.u16(at + 2);
            int last = frame.i32(at + addressBytes);
            long key = addressBytes == 4 ? ipv4Key(vlan, last) : ipv6Key(vlan, last);
            boolean nothing = sources == 0 && (type == CHANGE_TO_INCLUDE || type == IS_INCLUDE);
            if (nothing) {
                from.groups.leave(key, nowSecond);
            } else if (type != BLOCK) {
                from.groups.join(key, nowSecond);
            }
            at += 4 + addressBytes * (1 + sources) + frame.u8(at + 1) * 4;
        }
    }

    private void query(SwitchPort from, int nowSecond) {
        queried[from.link.index] = true;
        queriedUntil[from.link.index] = nowSecond + QUERIER_SECONDS;
        active = true;
        activeUntil = nowSecond + QUERIER_SECONDS;
    }

    /// The MAC address of an IPv4 group (RFC 1112 §6.4) in a VLAN.
    static long ipv4Key(int vlan, int group) {
        return LearningSwitch.key(vlan, 0x0100_5E00_0000L | (group & 0x7F_FFFF));
    }

    /// The MAC address of an IPv6 group (RFC 2464 §7) in a VLAN, from the last four bytes.
    static long ipv6Key(int vlan, int last) {
        return LearningSwitch.key(vlan, 0x3333_0000_0000L | Integer.toUnsignedLong(last));
    }
}
