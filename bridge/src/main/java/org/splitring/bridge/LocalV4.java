package org.splitring.bridge;

/// What an IPv4 packet gets that is for the router itself: ping is answered, DHCP and DNS are
/// served where they are configured, and everything else is refused as a host refuses it. The
/// network's loop.
final class LocalV4 {
    static final int DHCP_SERVER = 67;
    static final int DHCP_CLIENT = 68;
    static final int DNS = 53;

    private final RouterEngine engine;
    private final Ipv4Path path;

    LocalV4(RouterEngine engine, Ipv4Path path) {
        this.engine = engine;
        this.path = path;
    }

    /// Takes a packet to everybody, or from a host that has no address yet.
    void broadcast(RouterPort from, Frame frame) {
        if (!serveDhcp(from, frame)) {
            engine.drop(from, RouterCounter.DROPPED_GROUP);
        }
    }

    private boolean serveDhcp(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        DhcpServer dhcp = from.side.dhcp;
        if (dhcp == null
                || layers.fragment
                || layers.ipProtocol != FrameLayers.UDP
                || !layers.hasL4(frame, 8)
                || frame.i32(layers.l4At) != (DHCP_CLIENT << 16 | DHCP_SERVER)) {
            return false;
        }
        dhcp.receive(from, frame);
        return true;
    }

    private boolean serveDns(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        DnsRelay dns = engine.dns();
        if (dns == null
                || frame.u16(layers.l4At + 2) != DNS
                || !engine.answersDns(from, 0, IpWords.ofV4(frame.i32(layers.l3At + 12)))) {
            return false;
        }
        dns.receive(from, frame);
        return true;
    }

    /// Takes a packet to one of the router's addresses.
    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int protocol = layers.ipProtocol;
        if (layers.fragment) {
            engine.drop(from, RouterCounter.DROPPED_LOCAL); // not put together here
        } else if (protocol == FrameLayers.ICMP) {
            if (layers.hasL4(frame, 8) && frame.u8(layers.l4At) == Icmp.ECHO) {
                echo(from, frame, layers);
            } else {
                engine.drop(from, RouterCounter.DROPPED_LOCAL);
            }
        } else if (protocol == FrameLayers.TCP) {
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            if (layers.hasL4(frame, 20)) {
                engine.errors.reset(from, frame, engine.nanos());
            }
        } else if (protocol == FrameLayers.UDP && layers.hasL4(frame, 8)) {
            if (serveDhcp(from, frame) || serveDns(from, frame)) {
                return;
            }
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            path.error(from, frame, Icmp.UNREACHABLE, Icmp.PORT_UNREACHABLE, 0);
        } else {
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            path.error(from, frame, Icmp.UNREACHABLE, Icmp.PROTOCOL_UNREACHABLE, 0);
        }
    }

    /// Turns an echo request into its reply, in place: whatever its size, only headers change.
    private void echo(RouterPort from, Frame frame, FrameLayers layers) {
        int at = layers.l3At;
        int l4 = layers.l4At;
        int word = frame.u16(l4);
        frame.putU16(l4, word & 0xFF);
        frame.putU16(l4 + 2, InternetChecksum.updated(frame.u16(l4 + 2), word, word & 0xFF));
        int source = frame.i32(at + 12);
        frame.putI32(at + 12, frame.i32(at + 16));
        frame.putI32(at + 16, source);
        frame.putU8(at + 8, OutgoingPacket.TTL);
        InternetChecksum.writeIpv4Header(frame, layers);
        frame.putMac(0, frame.mac(6));
        frame.putMac(6, from.side.mac);
        from.link.send(frame);
        engine.counters.add(RouterCounter.ANSWERED);
    }
}
