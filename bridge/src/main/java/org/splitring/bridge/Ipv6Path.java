package org.splitring.bridge;

/// The way of an IPv6 packet through a router (RFC 8200): checked, routed, its hop limit counted
/// down. Routers do not fragment IPv6. The network's loop.
final class Ipv6Path {
    private final RouterEngine engine;
    private final Neighbourhood neighbourhood;
    private final LocalV6 local;

    Ipv6Path(RouterEngine engine, Neighbourhood neighbourhood) {
        this.engine = engine;
        this.neighbourhood = neighbourhood;
        local = new LocalV6(engine, this);
    }

    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        if (layers.ipVersion != 6) {
            engine.drop(from, RouterCounter.DROPPED_MALFORMED);
            return;
        }
        if (layers.moreStops) {
            engine.drop(from, RouterCounter.DROPPED_SOURCE_ROUTE);
            return;
        }
        long sourceHigh = frame.i64(at + 8);
        long sourceLow = frame.i64(at + 16);
        long high = frame.i64(at + 24);
        long low = frame.i64(at + 32);
        if (layers.ipProtocol == FrameLayers.ICMPV6 && neighbourhood.takes(from, frame)) {
            return;
        }
        if (high >>> 56 == 0xFF || (frame.mac(0) & MacAddress.GROUP_BIT) != 0) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
            return;
        }
        boolean linkLocal = isLinkLocal(sourceHigh);
        if ((!linkLocal && !isHost(sourceHigh, sourceLow))
                || (linkLocal && from.side.isLinkLocal(sourceHigh, sourceLow))) {
            engine.drop(from, RouterCounter.DROPPED_MARTIAN);
            return;
        }
        if (!linkLocal && !engine.admits(from, frame, sourceHigh, sourceLow)) {
            return;
        }
        if (from.side.isLinkLocal(high, low)) {
            local.receive(from, frame);
            return;
        }
        if (!isHost(high, low)) {
            engine.drop(from, RouterCounter.DROPPED_MARTIAN);
            error(from, frame, Icmp.V6_UNREACHABLE, Icmp.V6_ADMIN_PROHIBITED, 0);
            return;
        }
        Route route = engine.table().find(high, low);
        if (route == null) {
            engine.drop(from, RouterCounter.DROPPED_NO_ROUTE);
            error(from, frame, Icmp.V6_UNREACHABLE, Icmp.V6_NO_ROUTE, 0);
        } else if (route.kind == Route.Kind.LOCAL) {
            local.receive(from, frame);
        } else if (linkLocal) {
            engine.drop(from, RouterCounter.DROPPED_MARTIAN);
        } else if (frame.u8(at + 7) <= 1) {
            engine.drop(from, RouterCounter.DROPPED_EXPIRED);
            error(from, frame, Icmp.V6_TIME_EXCEEDED, 0, 0);
        } else {
            forward(from, frame, route, high, low);
        }
    }

    private void forward(RouterPort from, Frame frame, Route route, long high, long low) {
        boolean via = route.kind == Route.Kind.VIA;
        long hopHigh = via ? route.viaHigh : high;
        long hopLow = via ? route.viaLow : low;
        int entry = engine.hops.find(route, hopHigh, hopLow);
        if (entry == NeighbourTable.NONE) {
            engine.hops.await(from, frame, route, hopHigh, hopLow);
            return;
        }
        NeighbourTable neighbours = engine.hops.neighbours();
        RouterPort to = engine.port(neighbours.portOf(entry));
        if (to == null) {
            return;
        }
        int mtu = to.link.mtu();
        if (Ipv4Path.largestPacket(frame, frame.layers()) > mtu) {
            engine.drop(from, RouterCounter.DROPPED_TOO_BIG);
            // Whoever is told less than 1280 would take it for an attack (RFC 8201).
            error(from, frame, Icmp.V6_TOO_BIG, 0, Math.max(1280, mtu));
            return;
        }
        int at = frame.layers().l3At;
        frame.putU8(at + 7, frame.u8(at + 7) - 1);
        frame.putMac(0, neighbours.macOf(entry));
        frame.putMac(6, to.side.mac);
        if (to.link.send(frame)) {
            engine.counters.add(RouterCounter.FORWARDED);
        } else {
            engine.drop(from, RouterCounter.DROPPED_AT_PORT);
        }
    }

    /// Sends an ICMPv6 error about a packet to where it came from.
    void error(RouterPort from, Frame frame, int type, int code, int rest) {
        RouterSide side = from.side;
        engine.errors.v6(from, frame, type, code, rest, side.v6High, side.v6Low, engine.nanos());
    }

    static boolean isLinkLocal(long high) {
        return high >>> 54 == 0x3FA;
    }

    /// Whether a host elsewhere may have the address: not `::`, `::1`, an embedded IPv4 address,
    /// link-local, or a group (RFC 6890).
    static boolean isHost(long high, long low) {
        return high != 0 && !isLinkLocal(high) && high >>> 56 != 0xFF;
    }
}
