package org.splitring.bridge;

/// Router advertisements (RFC 4861 §6.2): on solicitation, and every few minutes, at the ports of
/// interfaces that want them. Hosts make themselves addresses in the subnets of 64 bits, and get
/// the router, the MTU, and the gateway as resolver where it answers DNS (RFC 8106). The network's
/// loop.
final class RouterAdvertisements {
    /// RFC 4861 §6.2.1 has 600 at most, and 200 where that is.
    static final int PERIOD_SECONDS = 200;

    private static final int ROUTER_SECONDS = 1800;
    private static final int PREFERRED_SECONDS = 14_400;
    private static final int VALID_SECONDS = 86_400;
    private static final int ON_LINK = 0x80;
    private static final int AUTONOMOUS = 0x40;

    /// RFC 8200: links of less have no IPv6.
    private static final int MIN_MTU = 1280;

    private final RouterEngine engine;
    private int nextSecond;
    private boolean begun;

    RouterAdvertisements(RouterEngine engine) {
        this.engine = engine;
    }

    /// Answers a router solicitation that has been found valid.
    void solicited(RouterPort from, Frame frame) {
        if (!from.side.config.advertises() || !from.requests.take(1, engine.nanos())) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
            return;
        }
        int at = frame.layers().l3At;
        long high = frame.i64(at + 8);
        long low = frame.i64(at + 16);
        if ((high | low) == 0) {
            advertiseToAll(from, ROUTER_SECONDS);
        } else {
            advertise(from, frame.mac(6), high, low, ROUTER_SECONDS);
        }
        engine.counters.add(RouterCounter.ANSWERED);
    }

    /// Whether it is time for all hosts to hear of the router again.
    boolean isDue() {
        if (begun && engine.second() - nextSecond < 0) {
            return false;
        }
        begun = true;
        nextSecond = engine.second() + PERIOD_SECONDS;
        return true;
    }

    /// Has hosts hear of the router at the next occasion: something is new.
    void soon() {
        begun = false;
    }

    void advertise(RouterPort to) {
        if (to.side.config.advertises()) {
            advertiseToAll(to, ROUTER_SECONDS);
        }
    }

    /// Says that the router is none any more (RFC 4861 §6.2.5).
    void cease(RouterPort to) {
        if (to.side.config.advertises()) {
            advertiseToAll(to, 0);
        }
    }

    /// Whether the addresses of a port are given: one that its host makes itself would be refused.
    private static boolean hasFixed(RouterPort port) {
        for (HostRoute host : port.side.config.hosts()) {
            if (host.port().equals(port.name)) {
                return true;
            }
        }
        return false;
    }

    private void advertiseToAll(RouterPort to, int lifetimeSeconds) {
        advertise(
                to,
                Announcements.ALL_NODES_MAC,
                Announcements.ALL_NODES_HIGH,
                Announcements.ALL_NODES_LOW,
                lifetimeSeconds);
    }

    private void advertise(
            RouterPort to, long toMac, long toHigh, long toLow, int lifetimeSeconds) {
        RouterSide side = to.side;
        OutgoingPacket out = engine.out;
        out.ipv6(
                toMac,
                side.mac,
                FrameLayers.ICMPV6,
                255,
                Icmp.LINK_LOCAL,
                side.linkLocalLow,
                toHigh,
                toLow);
        out.u8(Icmp.ROUTER_ADVERTISEMENT).u8(0).u16(0);
        out.u8(OutgoingPacket.TTL).u8(0).u16(lifetimeSeconds).i32(0).i32(0);
        out.u8(1).u8(1).mac(side.mac);
        int mtu = to.link.mtu();
        if (mtu >= MIN_MTU) {
            out.u8(5).u8(1).u16(0).i32(mtu);
        }
        for (InterfaceAddress each : side.config.addresses()) {
            if (each.isAutonomous()) {
                out.u8(3).u8(4).u8(each.bits()).u8(ON_LINK | (hasFixed(to) ? 0 : AUTONOMOUS));
                out.i32(VALID_SECONDS).i32(PREFERRED_SECONDS).i32(0);
                out.i64(IpWords.high(each.address())).i64(0);
            }
        }
        if (engine.dns() != null && side.v6Addresses.length > 0) {
            out.u8(25).u8(3).u16(0).i32(lifetimeSeconds);
            out.i64(side.v6Addresses[0]).i64(side.v6Addresses[1]);
        }
        out.sendTo(to.link);
    }
}
