package org.splitring.bridge;

/// The way of an IPv4 packet through a router (RFC 1812): checked, routed, its TTL counted down,
/// fragmented where the next link needs it and the packet allows it. The network's loop.
final class Ipv4Path {
    private static final int LOOSE_SOURCE_ROUTE = 131;
    private static final int STRICT_SOURCE_ROUTE = 137;
    private static final int DONT_FRAGMENT = 0x4000;

    private final RouterEngine engine;
    private final LocalV4 local;
    private final Ipv4Fragmenter fragmenter = new Ipv4Fragmenter();

    Ipv4Path(RouterEngine engine) {
        this.engine = engine;
        local = new LocalV4(engine, this);
    }

    void receive(RouterPort from, Frame frame) {
        Translation nat = engine.nat;
        if (nat != null) {
            nat.begin();
        }
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        if (layers.ipVersion != 4 || !headerChecksumIsRight(frame, layers)) {
            engine.drop(from, RouterCounter.DROPPED_MALFORMED);
            return;
        }
        if (layers.l4At > at + 20 && hasSourceRoute(frame, at + 20, layers.l4At)) {
            engine.drop(from, RouterCounter.DROPPED_SOURCE_ROUTE);
            return;
        }
        int source = frame.i32(at + 12);
        int destination = frame.i32(at + 16);
        if (source == 0 || destination == -1) {
            local.broadcast(from, frame);
            return;
        }
        if (destination >>> 28 == 14 || (frame.mac(0) & MacAddress.GROUP_BIT) != 0) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
            return;
        }
        if (!isHost(source)) {
            engine.drop(from, RouterCounter.DROPPED_MARTIAN);
            return;
        }
        if (!engine.admits(from, frame, 0, IpWords.ofV4(source))) {
            return;
        }
        if (!isHost(destination)) {
            engine.drop(from, RouterCounter.DROPPED_MARTIAN);
            error(from, frame, Icmp.UNREACHABLE, Icmp.ADMIN_PROHIBITED, 0);
            return;
        }
        if (nat != null && !nat.inbound(from, frame)) {
            return;
        }
        route(from, frame, layers);
    }

    private void route(RouterPort from, Frame frame, FrameLayers layers) {
        int at = layers.l3At;
        Translation nat = engine.nat;
        long destination = IpWords.ofV4(frame.i32(at + 16));
        Route route = engine.table().find(0, destination);
        if (route == null) {
            engine.drop(from, RouterCounter.DROPPED_NO_ROUTE);
            error(from, frame, Icmp.UNREACHABLE, Icmp.NET_UNREACHABLE, 0);
            return;
        }
        if (route.kind == Route.Kind.LOCAL) {
            local.receive(from, frame);
            return;
        }
        if (route.kind == Route.Kind.BROADCAST) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
            return;
        }
        if (frame.u8(at + 8) <= 1) {
            engine.drop(from, RouterCounter.DROPPED_EXPIRED);
            error(from, frame, Icmp.TIME_EXCEEDED, 0, 0);
            return;
        }
        if (nat != null && !nat.outbound(from, frame, route)) {
            return;
        }
        long hop = route.kind == Route.Kind.VIA ? route.viaLow : destination;
        int entry = engine.hops.find(route, 0, hop);
        if (entry == NeighbourTable.NONE) {
            if (nat != null) {
                nat.undo(frame);
            }
            engine.hops.await(from, frame, route, 0, hop);
            return;
        }
        NeighbourTable neighbours = engine.hops.neighbours();
        RouterPort to = engine.port(neighbours.portOf(entry));
        if (to != null) {
            send(from, to, frame, neighbours.macOf(entry));
        }
    }

    private void send(RouterPort from, RouterPort to, Frame frame, long toMac) {
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        int mtu = to.link.mtu();
        boolean large = frame.gsoType() != GsoType.NONE;
        int size = largestPacket(frame, layers);
        if (size > mtu && (large || (frame.u16(at + 6) & DONT_FRAGMENT) != 0)) {
            engine.drop(from, RouterCounter.DROPPED_TOO_BIG);
            error(from, frame, Icmp.UNREACHABLE, Icmp.FRAGMENTATION_NEEDED, mtu);
            return;
        }
        // TTL and protocol are one word of the header's sum.
        int word = frame.u16(at + 8);
        frame.putU16(at + 8, word - 0x100);
        frame.putU16(at + 10, InternetChecksum.updated(frame.u16(at + 10), word, word - 0x100));
        frame.putMac(0, toMac);
        frame.putMac(6, to.side.mac);
        boolean sent;
        if (size > mtu) {
            int count = fragmenter.send(frame, to.link, mtu);
            engine.counters.add(RouterCounter.FRAGMENTED, count);
            sent = count > 0;
        } else {
            sent = to.link.send(frame);
        }
        if (sent) {
            engine.counters.add(RouterCounter.FORWARDED);
        } else {
            engine.drop(from, RouterCounter.DROPPED_AT_PORT);
        }
    }

    /// The size of the packet, or of the largest one that a large segment is cut into.
    static int largestPacket(Frame frame, FrameLayers layers) {
        int size = layers.ipEnd - layers.l3At;
        if (frame.gsoType() == GsoType.NONE) {
            return size;
        }
        int headers = layers.l4At - layers.l3At + GsoCutter.tcpHeaderBytes(frame, layers);
        return Math.min(size, headers + frame.gsoSizeBytes());
    }

    /// Sends an ICMP error about a packet to where it came from, after it was made again what it
    /// was when it came.
    void error(RouterPort from, Frame frame, int type, int code, int rest) {
        if (engine.nat != null) {
            engine.nat.undo(frame);
        }
        int source = frame.i32(frame.layers().l3At + 12);
        int own = engine.v4Beside(from.side, source);
        engine.errors.v4(from, frame, type, code, rest, own, engine.nanos());
    }

    private static boolean headerChecksumIsRight(Frame frame, FrameLayers layers) {
        return InternetChecksum.sum(
                        frame.header(),
                        frame.headerStart() + layers.l3At,
                        layers.l4At - layers.l3At)
                == 0xFFFF;
    }

    /// Whether the options hold a source route, or do not hold together.
    private static boolean hasSourceRoute(Frame frame, int from, int end) {
        int at = from;
        while (at < end) {
            int type = frame.u8(at);
            if (type == 0) {
                return false;
            }
            if (type == LOOSE_SOURCE_ROUTE || type == STRICT_SOURCE_ROUTE) {
                return true;
            }
            if (type == 1) {
                at++;
                continue;
            }
            int length = at + 1 < end ? frame.u8(at + 1) : 0;
            if (length < 2) {
                return true;
            }
            at += length;
        }
        return false;
    }

    /// Whether a host elsewhere may have the address: not "this network", loopback, link-local
    /// (the metadata address 169.254.169.254 among them), group, reserved or broadcast (RFC 6890).
    static boolean isHost(int address) {
        int first = address >>> 24;
        return first != 0 && first != 127 && first < 224 && address >>> 16 != 0xA9FE;
    }
}
