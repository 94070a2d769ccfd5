package org.splitring.bridge;

/// Lets ICMP errors through a NAT that quote a packet of a connection, and no others (N-48,
/// RFC 5508 §4). An error changes nothing in the tables: it can neither end nor redirect a
/// connection. The network's loop.
final class QuotedErrors {
    private final NatPorts ports;
    private final NatConnections connections;

    QuotedErrors(NatPorts ports, NatConnections connections) {
        this.ports = ports;
        this.connections = connections;
    }

    /// Whether the error has a type that a NAT passes, and quotes a packet whose addresses and
    /// ports can be seen.
    private static boolean isReadable(Frame frame, FrameLayers layers) {
        int type = frame.u8(layers.l4At);
        int at = layers.l4At + 8;
        int known = Math.min(layers.ipEnd, frame.headerBytes());
        if (layers.fragment
                || (type != Icmp.UNREACHABLE
                        && type != Icmp.TIME_EXCEEDED
                        && type != Icmp.PARAMETER_PROBLEM)
                || at + 28 > known
                || frame.u8(at) >>> 4 != 4
                || (frame.u16(at + 6) & 0x1FFF) != 0) {
            return false;
        }
        int inner = at + (frame.u8(at) & 15) * 4;
        int protocol = frame.u8(at + 9);
        return inner >= at + 20
                && inner + 8 <= known
                && (protocol == FrameLayers.TCP
                        || protocol == FrameLayers.UDP
                        || protocol == FrameLayers.ICMP);
    }

    /// An error from outside, about a packet that a guest sent.
    ///
    /// @return whether it was changed and goes on to that guest
    boolean in(Frame frame, FrameLayers layers, int publicAddress, int now) {
        if (!isReadable(frame, layers)) {
            return false;
        }
        int at = layers.l4At + 8;
        int inner = at + (frame.u8(at) & 15) * 4;
        int protocol = frame.u8(at + 9);
        boolean icmp = protocol == FrameLayers.ICMP;
        if (frame.i32(at + 12) != publicAddress
                || (icmp && frame.u8(inner) != Icmp.ECHO && frame.u8(inner) != Icmp.ECHO_REPLY)) {
            return false;
        }
        int port = frame.u16(inner + (icmp ? 4 : 0));
        int farPort = icmp ? 0 : frame.u16(inner + 2);
        int entry = connections.fromOutside(protocol, port, frame.i32(at + 16), farPort, now);
        if (entry == NatConnections.NONE) {
            return false;
        }
        int through = connections.mappingOf(entry);
        PacketRewriter.quoted(
                frame, layers, at, true, ports.guestOf(through), ports.guestPortOf(through));
        return true;
    }

    /// An error from a guest, about a packet that it got.
    ///
    /// @return whether it was changed and goes on to whoever sent that packet
    boolean out(Frame frame, FrameLayers layers, int publicAddress, int now) {
        if (!isReadable(frame, layers)) {
            return false;
        }
        int at = layers.l4At + 8;
        int inner = at + (frame.u8(at) & 15) * 4;
        int protocol = frame.u8(at + 9);
        boolean icmp = protocol == FrameLayers.ICMP;
        int guest = frame.i32(at + 16);
        int far = frame.i32(at + 12);
        // The packet came to the guest itself, and the error goes back to where it came from.
        if (guest != frame.i32(layers.l3At + 12) || far != frame.i32(layers.l3At + 16)) {
            return false;
        }
        int port = frame.u16(inner + (icmp ? 4 : 2));
        int farPort = icmp ? 0 : frame.u16(inner);
        int entry = connections.fromInside(protocol, guest, port, far, farPort, now);
        if (entry == NatConnections.NONE) {
            return false;
        }
        int through = connections.mappingOf(entry);
        PacketRewriter.quoted(frame, layers, at, false, publicAddress, ports.publicPortOf(through));
        return true;
    }
}
