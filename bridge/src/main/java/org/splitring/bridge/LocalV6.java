package org.splitring.bridge;

/// What an IPv6 packet gets that is for the router itself; see [LocalV4]. The network's loop.
final class LocalV6 {
    private final RouterEngine engine;
    private final Ipv6Path path;

    LocalV6(RouterEngine engine, Ipv6Path path) {
        this.engine = engine;
        this.path = path;
    }

    /// Takes a packet to one of the router's addresses.
    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int protocol = layers.ipProtocol;
        if (layers.fragment) {
            engine.drop(from, RouterCounter.DROPPED_LOCAL); // not put together here
        } else if (protocol == FrameLayers.ICMPV6) {
            if (layers.hasL4(frame, 8) && frame.u8(layers.l4At) == Icmp.V6_ECHO) {
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
            if (serveDns(from, frame, layers)) {
                return;
            }
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            path.error(from, frame, Icmp.V6_UNREACHABLE, Icmp.V6_PORT_UNREACHABLE, 0);
        } else {
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            path.error(
                    from,
                    frame,
                    Icmp.V6_PARAMETER_PROBLEM,
                    Icmp.V6_UNKNOWN_NEXT_HEADER,
                    protocolPointer(frame, layers));
        }
    }

    private boolean serveDns(RouterPort from, Frame frame, FrameLayers layers) {
        DnsRelay dns = engine.dns();
        long high = frame.i64(layers.l3At + 8);
        long low = frame.i64(layers.l3At + 16);
        if (dns == null
                || frame.u16(layers.l4At + 2) != LocalV4.DNS
                || !engine.answersDns(from, high, low)) {
            return false;
        }
        dns.receive(from, frame);
        return true;
    }

    /// Where the number of the upper protocol is, from the start of the packet.
    private static int protocolPointer(Frame frame, FrameLayers layers) {
        int at = layers.l3At + 40;
        int pointer = 6;
        int next = frame.u8(layers.l3At + 6);
        while (at < layers.l4At) {
            pointer = at - layers.l3At;
            int units = frame.u8(at + 1);
            at +=
                    next == FrameLayers.FRAGMENT
                            ? 8
                            : next == FrameLayers.AUTHENTICATION
                                    ? (units + 2) * 4
                                    : (units + 1) * 8;
            next = frame.u8(layers.l3At + pointer);
        }
        return pointer;
    }

    private void echo(RouterPort from, Frame frame, FrameLayers layers) {
        int at = layers.l3At;
        int l4 = layers.l4At;
        int word = frame.u16(l4);
        int reply = Icmp.V6_ECHO_REPLY << 8 | (word & 0xFF);
        frame.putU16(l4, reply);
        frame.putU16(l4 + 2, InternetChecksum.updated(frame.u16(l4 + 2), word, reply));
        for (int i = 0; i < 16; i += 4) {
            int source = frame.i32(at + 8 + i);
            frame.putI32(at + 8 + i, frame.i32(at + 24 + i));
            frame.putI32(at + 24 + i, source);
        }
        frame.putU8(at + 7, OutgoingPacket.TTL);
        frame.putMac(0, frame.mac(6));
        frame.putMac(6, from.side.mac);
        from.link.send(frame);
        engine.counters.add(RouterCounter.ANSWERED);
    }
}
