package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Masquerade: guests' connections appear outside under one address, and what belongs to them, or
/// to a port forward, comes back in. The network's loop.
///
///     guest ──▶ inbound ──▶ route ──▶ outbound: source changed ──▶ uplink
///     uplink ──▶ inbound: destination changed ──▶ route ──▶ outbound ──▶ guest
///     guest ──▶ inbound: to the outside address, both changed ──▶ route ──▶ guest    (hairpin)
///
/// What is changed can be undone until the packet is sent: errors quote what their receiver sent.
final class NatTranslation implements Translation {
    /// Owner of connections to a guest that is at no port now.
    private static final int NOBODY = VirtualNetwork.MAX_PORTS;

    private static final int SAVED_BYTES = Frame.HEADER_BYTES;

    private final NatLimits limits;
    private final NatPorts ports;
    private final NatConnections connections;
    private final FragmentTable fragments;
    private final QuotedErrors quotedErrors;
    private int publicAddress;
    private String uplinkName;
    private @Nullable RouterEngine engine;

    // Of the packet that is under way.
    private final MemorySegment saved = Arena.ofAuto().allocate(SAVED_BYTES);
    private int savedAt;
    private int savedBytes;
    private int fragment = FragmentTable.NONE;
    private boolean translated;

    NatTranslation(NatSettings settings, RouterCounters counters) {
        limits = settings.natLimits();
        ports =
                new NatPorts(
                        limits.connections() + NatSettings.MAX_FORWARDS, limits.portsPerGuest());
        connections = new NatConnections(limits, ports, counters);
        fragments = new FragmentTable(limits.fragmentsPerGuest(), limits.fragmentSeconds());
        quotedErrors = new QuotedErrors(ports, connections);
        publicAddress = settings.publicAddress();
        uplinkName = settings.uplink().name();
        for (PortForward each : settings.forwards()) {
            forward(each);
        }
    }

    void engine(RouterEngine of) {
        engine = of;
    }

    private RouterEngine engine() {
        RouterEngine of = engine;
        if (of == null) {
            throw new IllegalStateException("not in a router yet");
        }
        return of;
    }

    NatPorts ports() {
        return ports;
    }

    NatConnections connections() {
        return connections;
    }

    // ---- settings

    private void forward(PortForward each) {
        int taken = ports.ofPublic(each.protocol().number, each.publicPort());
        if (taken != NatPorts.NONE) {
            connections.forgetMapping(taken); // a guest's own connections; with them goes the port
        }
        ports.forward(
                each.protocol().number,
                each.publicPort(),
                IpWords.v4(each.guest()),
                each.guestPort());
    }

    void configure(NatSettings before, NatSettings now) {
        for (PortForward each : before.forwards()) {
            if (!now.forwards().contains(each)) {
                int mapping = ports.ofPublic(each.protocol().number, each.publicPort());
                connections.forgetMapping(mapping);
                ports.unforward(mapping);
            }
        }
        if (now.publicAddress() != publicAddress) {
            for (int owner = 0; owner <= NOBODY; owner++) {
                connections.forgetOwner(owner);
            }
        }
        publicAddress = now.publicAddress();
        uplinkName = now.uplink().name();
        for (PortForward each : now.forwards()) {
            if (!before.forwards().contains(each)) {
                forward(each);
            }
        }
    }

    @Override
    public boolean isUplink(RouterSide side) {
        return side.name.equals(uplinkName);
    }

    @Override
    public void second(int now) {
        // All entries once in eight seconds.
        connections.sweep(Math.max(1, limits.connections() / 8), now);
    }

    @Override
    public void forget(int port) {
        connections.forgetOwner(port);
        fragments.forget(port);
    }

    // ---- one packet

    @Override
    public void begin() {
        savedBytes = 0;
        fragment = FragmentTable.NONE;
        translated = false;
        fragments.keepMark();
    }

    private void save(Frame frame) {
        if (savedBytes == 0) {
            savedAt = frame.layers().l3At;
            savedBytes = Math.min(frame.headerBytes() - savedAt, SAVED_BYTES);
            MemorySegment.copy(frame.header(), frame.headerStart() + savedAt, saved, 0, savedBytes);
        }
    }

    @Override
    public void undo(Frame frame) {
        if (savedBytes > 0) {
            MemorySegment.copy(saved, 0, frame.header(), frame.headerStart() + savedAt, savedBytes);
        }
        fragments.unmark();
        begin();
    }

    private boolean drop(RouterPort from, RouterCounter why) {
        engine().drop(from, why);
        return false;
    }

    /// Drops a packet and tells its sender that it is not allowed.
    private boolean prohibit(RouterPort from, Frame frame, RouterCounter why) {
        drop(from, why);
        engine().prohibited(from, frame);
        return false;
    }

    @Override
    public boolean inbound(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        boolean outside = isUplink(from.side);
        int destination = frame.i32(at + 16);
        if (layers.fragmentOffset != 0) {
            return laterFragment(from, frame, layers, outside);
        }
        if (destination != publicAddress) {
            // From outside nothing comes in that is not translated, to the gateway's inner
            // addresses neither (N-47).
            return !outside || prohibit(from, frame, RouterCounter.DROPPED_UNSOLICITED);
        }
        int protocol = layers.ipProtocol;
        if (protocol == FrameLayers.ICMP) {
            return icmpToPublic(from, frame, layers, outside);
        }
        if (protocol != FrameLayers.TCP && protocol != FrameLayers.UDP) {
            return true; // the router's own answer
        }
        if (!layers.hasL4(frame, protocol == FrameLayers.TCP ? 20 : 8)) {
            return drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        int mapping = ports.ofPublic(protocol, frame.u16(layers.l4At + 2));
        if (mapping == NatPorts.NONE) {
            return true;
        }
        return noteFirstFragment(from, frame, layers)
                && (outside || translateOut(from, frame, layers))
                && translateIn(from, frame, layers, mapping);
    }

    private boolean icmpToPublic(
            RouterPort from, Frame frame, FrameLayers layers, boolean outside) {
        if (!layers.hasL4(frame, 8)) {
            return drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        int type = frame.u8(layers.l4At);
        if (type == Icmp.ECHO_REPLY && outside) {
            int mapping = ports.ofPublic(FrameLayers.ICMP, frame.u16(layers.l4At + 4));
            return mapping == NatPorts.NONE
                    ? drop(from, RouterCounter.DROPPED_UNSOLICITED)
                    : noteFirstFragment(from, frame, layers)
                            && translateIn(from, frame, layers, mapping);
        }
        if (Icmp.isError(type)) {
            return (outside || errorOut(from, frame, layers)) && errorIn(from, frame, layers);
        }
        return type == Icmp.ECHO || drop(from, RouterCounter.DROPPED_UNSOLICITED);
    }

    @Override
    public boolean outbound(RouterPort from, Frame frame, Route route) {
        FrameLayers layers = frame.layers();
        if (!translated && isUplink(route.side) && !isUplink(from.side)) {
            if (layers.fragmentOffset != 0) {
                return drop(from, RouterCounter.DROPPED_FRAGMENT);
            }
            if (!translateOut(from, frame, layers)) {
                return false;
            }
        }
        if (fragment != FragmentTable.NONE && layers.fragmentOffset == 0) {
            fragments.translate(fragment, frame.i32(layers.l3At + 12), frame.i32(layers.l3At + 16));
        }
        return true;
    }

    // ---- fragments

    private static long pair(Frame frame, FrameLayers layers) {
        return frame.i64(layers.l3At + 12);
    }

    private static int dataBytes(FrameLayers layers) {
        return layers.ipEnd - layers.l4At;
    }

    /// Notes the first fragment of a packet, so that the later ones can follow.
    private boolean noteFirstFragment(RouterPort from, Frame frame, FrameLayers layers) {
        if (!layers.fragment || fragment != FragmentTable.NONE) {
            return true;
        }
        int now = engine().second();
        int id = frame.u16(layers.l3At + 4);
        fragment = fragments.begin(from.index, pair(frame, layers), layers.ipProtocol, id, now);
        if (fragment == FragmentTable.NONE
                || !fragments.mark(fragment, 0, dataBytes(layers), true)) {
            return drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        return true;
    }

    private boolean laterFragment(
            RouterPort from, Frame frame, FrameLayers layers, boolean outside) {
        int at = layers.l3At;
        int entry =
                fragments.find(
                        from.index,
                        pair(frame, layers),
                        layers.ipProtocol,
                        frame.u16(at + 4),
                        engine().second());
        if (entry == FragmentTable.NONE) {
            // Between guests nothing is translated; elsewhere the first one must have come before.
            return (!outside && frame.i32(at + 16) != publicAddress)
                    || drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        boolean more = (frame.u16(at + 6) & 0x2000) != 0;
        if (!fragments.mark(entry, layers.fragmentOffset, dataBytes(layers), more)) {
            return drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        save(frame);
        fragment = entry;
        translated = true;
        PacketRewriter.addresses(
                frame, layers, fragments.sourceOf(entry), fragments.destinationOf(entry));
        return true;
    }

    // ---- connections

    private static int sourcePort(Frame frame, FrameLayers layers) {
        return frame.u16(layers.l4At + (layers.ipProtocol == FrameLayers.ICMP ? 4 : 0));
    }

    private static int farPort(Frame frame, FrameLayers layers, int at) {
        return layers.ipProtocol == FrameLayers.ICMP ? 0 : frame.u16(layers.l4At + at);
    }

    private static int tcpFlags(Frame frame, FrameLayers layers) {
        return layers.ipProtocol == FrameLayers.TCP ? frame.u8(layers.l4At + 13) : 0;
    }

    /// Changes the source of a packet from a guest to the outside address and a port of it.
    private boolean translateOut(RouterPort from, Frame frame, FrameLayers layers) {
        int protocol = layers.ipProtocol;
        boolean icmp = protocol == FrameLayers.ICMP;
        if (!icmp && protocol != FrameLayers.TCP && protocol != FrameLayers.UDP) {
            return prohibit(from, frame, RouterCounter.DROPPED_UNTRANSLATABLE);
        }
        if (!layers.hasL4(frame, protocol == FrameLayers.TCP ? 20 : 8)) {
            return drop(from, RouterCounter.DROPPED_FRAGMENT);
        }
        if (icmp && frame.u8(layers.l4At) != Icmp.ECHO) {
            return Icmp.isError(frame.u8(layers.l4At))
                    ? errorOut(from, frame, layers)
                    : prohibit(from, frame, RouterCounter.DROPPED_UNTRANSLATABLE);
        }
        if (!noteFirstFragment(from, frame, layers)) {
            return false;
        }
        int at = layers.l3At;
        int guest = frame.i32(at + 12);
        int port = sourcePort(frame, layers);
        int far = frame.i32(at + 16);
        int farPort = farPort(frame, layers, 2);
        int flags = tcpFlags(frame, layers);
        int now = engine().second();
        int entry = connections.fromInside(protocol, guest, port, far, farPort, now);
        if (entry == NatConnections.NONE) {
            if ((flags & 0x04) != 0) {
                return drop(from, RouterCounter.DROPPED_UNSOLICITED);
            }
            if (!connections.makeRoom(from.index, now)) {
                return prohibit(from, frame, RouterCounter.DROPPED_NO_ENTRY);
            }
            int mapping = ports.ofGuest(protocol, guest, port);
            if (mapping == NatPorts.NONE && !ports.isAtQuota(protocol, from.index)) {
                mapping = ports.allocate(protocol, guest, port, from.index);
            }
            if (mapping == NatPorts.NONE) {
                return prohibit(from, frame, RouterCounter.DROPPED_NO_PORT);
            }
            entry = connections.add(protocol, mapping, far, farPort, from.index, now);
        }
        connections.used(entry, true, flags, now);
        save(frame);
        translated = true;
        int through = connections.mappingOf(entry);
        PacketRewriter.source(frame, layers, publicAddress, ports.publicPortOf(through));
        return true;
    }

    /// Changes the destination of a packet to the outside address to the guest that it is for.
    ///
    /// @param mapping of its destination port
    private boolean translateIn(RouterPort from, Frame frame, FrameLayers layers, int mapping) {
        int protocol = layers.ipProtocol;
        int far = frame.i32(layers.l3At + 12);
        int farPort = farPort(frame, layers, 0);
        int flags = tcpFlags(frame, layers);
        int now = engine().second();
        int publicPort = ports.publicPortOf(mapping);
        int entry = connections.fromOutside(protocol, publicPort, far, farPort, now);
        if (entry == NatConnections.NONE) {
            if (ports.ofPublic(protocol, publicPort) != mapping && !translated) {
                return true; // its last connection has expired this instant: the port is closed
            }
            if (!ports.isForward(mapping) || (flags & 0x04) != 0) {
                return drop(from, RouterCounter.DROPPED_UNSOLICITED);
            }
            int owner = engine().hops.portOf(0, IpWords.ofV4(ports.guestOf(mapping)));
            owner = owner < 0 ? NOBODY : owner;
            entry =
                    connections.makeRoom(owner, now)
                            ? connections.add(protocol, mapping, far, farPort, owner, now)
                            : NatConnections.NONE;
            if (entry == NatConnections.NONE) {
                return drop(from, RouterCounter.DROPPED_NO_ENTRY);
            }
        }
        connections.used(entry, false, flags, now);
        save(frame);
        translated = true;
        PacketRewriter.destination(
                frame, layers, ports.guestOf(mapping), ports.guestPortOf(mapping));
        return true;
    }

    // ---- ICMP errors (N-48)

    private boolean errorIn(RouterPort from, Frame frame, FrameLayers layers) {
        save(frame);
        translated = true;
        return quotedErrors.in(frame, layers, publicAddress, engine().second())
                || drop(from, RouterCounter.DROPPED_FORGED_ERROR);
    }

    private boolean errorOut(RouterPort from, Frame frame, FrameLayers layers) {
        save(frame);
        translated = true;
        return quotedErrors.out(frame, layers, publicAddress, engine().second())
                || drop(from, RouterCounter.DROPPED_FORGED_ERROR);
    }
}
