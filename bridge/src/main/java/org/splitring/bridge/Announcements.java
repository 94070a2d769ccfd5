package org.splitring.bridge;

/// Tells hosts the router's MAC address before they ask: those whose caches are of a time when the
/// network was a switch, or had another router. Without it they would go on with what they know
/// until it ages, up to half a minute. The network's loop.
///
/// Nothing is said but what ARP or a solicitation would be answered with, and it is said to the
/// port alone that sent something.
final class Announcements {
    /// Flags of a neighbour advertisement (RFC 4861 §4.4).
    static final int SOLICITED = 0x4000_0000;

    static final int OVERRIDE = 0x2000_0000;
    private static final int ROUTER = 0x8000_0000;

    static final long ALL_NODES_MAC = 0x3333_0000_0001L;
    static final long ALL_NODES_HIGH = 0xFF02_0000_0000_0000L;
    static final long ALL_NODES_LOW = 1;

    private final RouterEngine engine;
    private final Neighbourhood neighbourhood;

    Announcements(RouterEngine engine, Neighbourhood neighbourhood) {
        this.engine = engine;
        this.neighbourhood = neighbourhood;
    }

    /// Sends a neighbour advertisement: that address is at the router.
    void advertise(
            RouterPort to, long toMac, long toHigh, long toLow, int flags, long high, long low) {
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
        out.u8(Icmp.ADVERTISEMENT).u8(0).u16(0).i32(ROUTER | flags).i64(high).i64(low);
        out.u8(2).u8(1).mac(side.mac);
        out.sendTo(to.link);
    }

    void advertiseToAll(RouterPort to, int flags, long high, long low) {
        advertise(to, ALL_NODES_MAC, ALL_NODES_HIGH, ALL_NODES_LOW, flags, high, low);
    }

    /// Says to all hosts at a port which MAC address the router's own addresses have.
    void announce(RouterPort to) {
        RouterSide side = to.side;
        for (int own : side.v4Addresses) {
            engine.out.arpRequest(LearningSwitch.BROADCAST, side.mac, own, own).sendRaw(to.link);
        }
        for (int i = 0; i < side.v6Addresses.length; i += 2) {
            advertiseToAll(to, OVERRIDE, side.v6Addresses[i], side.v6Addresses[i + 1]);
        }
    }

    /// Tells the sender of a frame to another MAC address where it should have gone.
    void correct(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        if (layers.tags != 0) {
            return;
        }
        if (layers.ipVersion == 4) {
            correctV4(from, frame, frame.i32(at + 12), frame.i32(at + 16));
        } else if (layers.ipVersion == 6) {
            correctV6(from, frame);
        } else if (Neighbourhood.isArpRequest(frame, layers)) {
            correctV4(from, frame, frame.i32(at + 14), frame.i32(at + 24));
        }
    }

    private void correctV4(RouterPort from, Frame frame, int source, int destination) {
        if (!Ipv4Path.isHost(source)
                || !Ipv4Path.isHost(destination)
                || !from.errors.take(1, engine.nanos())) {
            return;
        }
        RouterSide side = from.side;
        long mac = frame.mac(6);
        long low = IpWords.ofV4(destination);
        if (neighbourhood.isOurs(from, 0, low, false)) {
            engine.out.arpRequest(mac, side.mac, destination, destination).sendRaw(from.link);
        }
        int own = side.v4Beside(source);
        if (own != 0 && own != destination && isBehind(side, 0, low)) {
            engine.out.arpRequest(mac, side.mac, own, own).sendRaw(from.link);
        }
    }

    private void correctV6(RouterPort from, Frame frame) {
        int at = frame.layers().l3At;
        long sourceHigh = frame.i64(at + 8);
        long sourceLow = frame.i64(at + 16);
        long high = frame.i64(at + 24);
        long low = frame.i64(at + 32);
        boolean linkLocal = Ipv6Path.isLinkLocal(sourceHigh);
        RouterSide side = from.side;
        boolean own = side.isLinkLocal(high, low);
        if ((!linkLocal && !Ipv6Path.isHost(sourceHigh, sourceLow))
                || (!own && !Ipv6Path.isHost(high, low))
                || !from.errors.take(1, engine.nanos())) {
            return;
        }
        long mac = frame.mac(6);
        if (own || neighbourhood.isOurs(from, high, low, false)) {
            advertise(from, mac, sourceHigh, sourceLow, OVERRIDE, high, low);
        }
        if (!own && isBehind(side, high, low)) { // of the router's addresses, one is the gateway
            for (int i = 0; i < side.v6Addresses.length; i += 2) {
                long gatewayHigh = side.v6Addresses[i];
                long gatewayLow = side.v6Addresses[i + 1];
                advertise(from, mac, sourceHigh, sourceLow, OVERRIDE, gatewayHigh, gatewayLow);
            }
            long linkLocalLow = side.linkLocalLow;
            advertise(from, mac, sourceHigh, sourceLow, OVERRIDE, Icmp.LINK_LOCAL, linkLocalLow);
        }
    }

    /// Whether hosts on that side send packets for an address to a gateway.
    private boolean isBehind(RouterSide side, long high, long low) {
        Route route = engine.table().find(high, low);
        return route == null || route.side != side || route.kind == Route.Kind.VIA;
    }
}
