package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// The router as a neighbour: learns from ARP (RFC 826) and neighbour discovery (RFC 4861), answers
/// for its own addresses, and for those that it routes to at other ports (proxy ARP, RFC 1027;
/// proxy ND, RFC 4389). The network's loop.
///
/// What a message says is believed only when it names the frame's own MAC address and an IP
/// address that may live at that port (N-41).
final class Neighbourhood {
    private static final int REQUEST = 1;
    private static final int REPLY = 2;

    private final RouterEngine engine;

    Neighbourhood(RouterEngine engine) {
        this.engine = engine;
    }

    /// Whether there is a message about Ethernet and IPv4, whole.
    private static boolean isArp(Frame frame, int at) {
        return at + 28 <= frame.headerBytes()
                && frame.i32(at) == 0x0001_0800
                && frame.u16(at + 4) == 0x0604;
    }

    /// Whether a frame is a question by its own sender.
    static boolean isArpRequest(Frame frame, FrameLayers layers) {
        int at = layers.l3At;
        return layers.etherType == FrameLayers.ARP
                && isArp(frame, at)
                && frame.u16(at + 6) == REQUEST
                && frame.mac(at + 8) == frame.mac(6);
    }

    void arp(RouterPort from, Frame frame) {
        int at = frame.layers().l3At;
        if (!isArp(frame, at)) {
            engine.drop(from, RouterCounter.DROPPED_MALFORMED);
            return;
        }
        int operation = frame.u16(at + 6);
        long mac = frame.mac(at + 8);
        int sender = frame.i32(at + 14);
        int target = frame.i32(at + 24);
        if (mac != frame.mac(6) || (operation != REQUEST && operation != REPLY)) {
            engine.drop(from, RouterCounter.DROPPED_NEIGHBOUR);
            return;
        }
        // A sender of 0 is a probe (RFC 5227): nothing is learned from it.
        if (sender != 0 && !learn(from, mac, 0, IpWords.ofV4(sender))) {
            engine.drop(from, RouterCounter.DROPPED_NEIGHBOUR);
            return;
        }
        if (operation == REQUEST
                && target != sender
                && Ipv4Path.isHost(target)
                && isOurs(from, 0, IpWords.ofV4(target), sender == 0)) {
            OutgoingPacket out = engine.out;
            long own = from.side.mac;
            out.ethernet(mac, own, FrameLayers.ARP).i32(0x0001_0800).u16(0x0604).u16(REPLY);
            out.mac(own).i32(target).mac(mac).i32(sender);
            out.sendRaw(from.link);
        }
        engine.counters.add(RouterCounter.ANSWERED);
    }

    /// Notes that an address is at a port, if it may be.
    private boolean learn(RouterPort at, long mac, long high, long low) {
        Route route = engine.table().find(high, low);
        return route != null
                && route.kind == Route.Kind.ON_LINK
                && engine.mayLive(at, route, high, low)
                && engine.hops.learn(at, high, low, mac);
    }

    /// Whether the router answers a question for an address: it is its own, or lives at another
    /// port.
    ///
    /// @param probe whether the asker wants the address for itself: then only what really is
    ///     elsewhere counts, not a mere route
    boolean isOurs(RouterPort asker, long high, long low, boolean probe) {
        Route route = engine.table().find(high, low);
        if (route == null || route.kind == Route.Kind.BROADCAST) {
            return false;
        }
        if (route.kind == Route.Kind.LOCAL) {
            return answersOn(asker.side, route);
        }
        if (route.side != asker.side) {
            return !probe && answersOn(asker.side, route);
        }
        if (route.kind == Route.Kind.VIA) {
            return false;
        }
        if (route.portName != null) {
            return !route.allows(asker);
        }
        int port = engine.hops.portOf(high, low);
        if (port >= 0) {
            return port != asker.index;
        }
        // Perhaps another port has it: whoever asks again is answered.
        if (route.side.ports.size() > 1) {
            engine.hops.ask(asker, route, high, low);
        }
        return false;
    }

    /// Outside, a NAT answers for nothing but its own addresses there.
    private boolean answersOn(RouterSide side, Route route) {
        return engine.nat == null || !engine.nat.isUplink(side) || route.side == side;
    }

    /// Takes neighbour discovery out of the way of ICMPv6 messages.
    ///
    /// @return `false` for any other message
    boolean takes(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        if (layers.fragment || !layers.hasL4(frame, 4)) {
            return false;
        }
        int type = frame.u8(layers.l4At);
        if (type < Icmp.ROUTER_SOLICITATION || type > Icmp.V6_REDIRECT) {
            return false;
        }
        if (type == Icmp.ROUTER_SOLICITATION && isValidFrom(frame, layers, 8)) {
            engine.advertisements.solicited(from, frame);
            return true;
        }
        if (type != Icmp.SOLICITATION && type != Icmp.ADVERTISEMENT) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
            return true;
        }
        if (!isValidFrom(frame, layers, 24) || frame.u8(layers.l4At + 8) == 0xFF) {
            engine.drop(from, RouterCounter.DROPPED_NEIGHBOUR);
        } else if (type == Icmp.SOLICITATION) {
            solicited(from, frame, layers);
        } else {
            advertised(from, frame, layers);
        }
        return true;
    }

    /// RFC 4861 §6.1 and §7.1: from this link, whole, in the private header, with a right checksum.
    ///
    /// @param bytes of such a message without options
    private static boolean isValidFrom(Frame frame, FrameLayers layers, int bytes) {
        if (frame.u8(layers.l3At + 7) != 255
                || frame.u8(layers.l4At + 1) != 0
                || !layers.hasL4(frame, bytes)
                || layers.ipEnd > frame.headerBytes()) {
            return false;
        }
        long sum =
                InternetChecksum.pseudoHeader(frame, layers)
                        + InternetChecksum.sum(frame, layers.l4At, layers.ipEnd);
        return InternetChecksum.fold(sum) == 0xFFFF;
    }

    /// Whether every link-layer address option (types 1 and 2) names the sender of the frame.
    private static boolean optionsAgree(Frame frame, FrameLayers layers) {
        int at = layers.l4At + 24;
        while (at + 8 <= layers.ipEnd) {
            int type = frame.u8(at);
            int bytes = frame.u8(at + 1) * 8;
            if (bytes == 0 || ((type == 1 || type == 2) && frame.mac(at + 2) != frame.mac(6))) {
                return false;
            }
            at += bytes;
        }
        return at == layers.ipEnd;
    }

    private void solicited(RouterPort from, Frame frame, FrameLayers layers) {
        long sourceHigh = frame.i64(layers.l3At + 8);
        long sourceLow = frame.i64(layers.l3At + 16);
        long high = frame.i64(layers.l4At + 8);
        long low = frame.i64(layers.l4At + 16);
        boolean probe = (sourceHigh | sourceLow) == 0;
        if (!optionsAgree(frame, layers)
                || (!probe && !mayAsk(from, frame.mac(6), sourceHigh, sourceLow))) {
            engine.drop(from, RouterCounter.DROPPED_NEIGHBOUR);
            return;
        }
        boolean own = from.side.isLinkLocal(high, low);
        if (own || (Ipv6Path.isHost(high, low) && isOurs(from, high, low, probe))) {
            Route route = own ? null : engine.table().find(high, low);
            advertise(from, frame, high, low, probe, own || isLocal(route));
        }
        engine.counters.add(RouterCounter.ANSWERED);
    }

    private static boolean isLocal(@Nullable Route route) {
        return route != null && route.kind == Route.Kind.LOCAL;
    }

    private boolean mayAsk(RouterPort from, long mac, long high, long low) {
        return Ipv6Path.isLinkLocal(high)
                ? !from.side.isLinkLocal(high, low)
                : Ipv6Path.isHost(high, low) && learn(from, mac, high, low);
    }

    /// To all nodes where the asker has no address yet.
    private void advertise(
            RouterPort to, Frame asked, long high, long low, boolean probe, boolean own) {
        int at = asked.layers().l3At;
        // A proxy does not override (RFC 4861 §7.2.8).
        int flags = (probe ? 0 : Announcements.SOLICITED) | (own ? Announcements.OVERRIDE : 0);
        if (probe) {
            engine.announcements.advertiseToAll(to, flags, high, low);
        } else {
            engine.announcements.advertise(
                    to, asked.mac(6), asked.i64(at + 8), asked.i64(at + 16), flags, high, low);
        }
    }

    /// An advertisement teaches only what somebody asked for (RFC 4861 §7.2.5).
    private void advertised(RouterPort from, Frame frame, FrameLayers layers) {
        long high = frame.i64(layers.l4At + 8);
        long low = frame.i64(layers.l4At + 16);
        boolean asked = engine.hops.neighbours().find(high, low) != NeighbourTable.NONE;
        if (!optionsAgree(frame, layers)
                || !Ipv6Path.isHost(high, low)
                || (asked && !learn(from, frame.mac(6), high, low))) {
            engine.drop(from, RouterCounter.DROPPED_NEIGHBOUR);
            return;
        }
        engine.counters.add(RouterCounter.ANSWERED);
    }
}
