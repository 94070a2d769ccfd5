package org.splitring.bridge;

/// Changes addresses and ports of IPv4 packets so that every checksum that was right stays right,
/// without a look at the payload (RFC 1624, RFC 3022 §4.2).
final class PacketRewriter {
    private PacketRewriter() {}

    /// Gives a packet another source.
    ///
    /// @param port the port of TCP and UDP, the identifier of an ICMP echo; a later fragment has
    ///     none
    static void source(Frame frame, FrameLayers layers, int address, int port) {
        end(frame, layers, layers.l3At + 12, address, layers.l4At, port);
    }

    /// Gives a packet another destination.
    static void destination(Frame frame, FrameLayers layers, int address, int port) {
        end(frame, layers, layers.l3At + 16, address, layers.l4At + 2, port);
    }

    private static void end(
            Frame frame, FrameLayers layers, int addressAt, int address, int portAt, int port) {
        int before = frame.i32(addressAt);
        address(frame, layers.l3At, addressAt, address);
        if (layers.fragmentOffset != 0) {
            return;
        }
        int l4 = layers.l4At;
        if (layers.ipProtocol == FrameLayers.ICMP) {
            port(frame, l4 + 4, l4 + 2, port);
            return;
        }
        int at = l4 + layers.checksumOffset();
        if (frame.checksumState() == ChecksumState.PARTIAL && frame.checksumStart() == l4) {
            // The field is the sum of the pseudo header, which ports are no part of.
            frame.putU16(at, ~updated(~frame.u16(at), before, address));
            frame.putU16(portAt, port);
        } else if (layers.ipProtocol == FrameLayers.UDP && frame.u16(at) == 0) {
            frame.putU16(portAt, port);
        } else {
            int field = updated(frame.u16(at), before, address);
            field = InternetChecksum.updated(field, frame.u16(portAt), port);
            frame.putU16(portAt, port);
            frame.putU16(at, field);
            keepChecksum(frame, layers.ipProtocol, at);
        }
    }

    /// A UDP checksum that comes out as 0 would say that there is none (RFC 768).
    private static void keepChecksum(Frame frame, int protocol, int checksumAt) {
        if (protocol == FrameLayers.UDP && frame.u16(checksumAt) == 0) {
            frame.putU16(checksumAt, 0xFFFF);
        }
    }

    private static int updated(int field, int before, int after) {
        int half = InternetChecksum.updated(field, before >>> 16, after >>> 16);
        return InternetChecksum.updated(half, before & 0xFFFF, after & 0xFFFF);
    }

    /// Changes an address of an IP header.
    private static void address(Frame frame, int l3At, int addressAt, int address) {
        int before = frame.i32(addressAt);
        frame.putU16(l3At + 10, updated(frame.u16(l3At + 10), before, address));
        frame.putI32(addressAt, address);
    }

    private static void port(Frame frame, int portAt, int checksumAt, int port) {
        frame.putU16(
                checksumAt,
                InternetChecksum.updated(frame.u16(checksumAt), frame.u16(portAt), port));
        frame.putU16(portAt, port);
    }

    /// Only the addresses, of a fragment that has no ports.
    static void addresses(Frame frame, FrameLayers layers, int source, int destination) {
        address(frame, layers.l3At, layers.l3At + 12, source);
        address(frame, layers.l3At, layers.l3At + 16, destination);
    }

    /// Changes one end of the packet that an ICMP error quotes, and the error's own address on the
    /// same side: the destination of an error is the source of what it quotes (RFC 5508 §4.2).
    ///
    /// @param quotedAt the quoted IP header, its first 8 bytes of data are in the private header
    /// @param ofSource whether the quoted source changes, and the error's destination; else the
    ///     other two
    static void quoted(
            Frame frame,
            FrameLayers layers,
            int quotedAt,
            boolean ofSource,
            int address,
            int port) {
        int inner = quotedAt + (frame.u8(quotedAt) & 15) * 4;
        int known = Math.min(layers.ipEnd, frame.headerBytes());
        int end = Math.min(known, inner + 20);
        long start = frame.headerStart() + (long) quotedAt;
        int before = InternetChecksum.sum(frame.header(), start, end - quotedAt);
        int protocol = frame.u8(quotedAt + 9);
        int addressAt = quotedAt + (ofSource ? 12 : 16);
        int old = frame.i32(addressAt);
        address(frame, quotedAt, addressAt, address);
        if (protocol == FrameLayers.ICMP) {
            port(frame, inner + 4, inner + 2, port);
        } else {
            int portAt = inner + (ofSource ? 0 : 2);
            int checksumAt = inner + (protocol == FrameLayers.TCP ? 16 : 6);
            boolean there = checksumAt + 2 <= end;
            if (there && (protocol == FrameLayers.TCP || frame.u16(checksumAt) != 0)) {
                frame.putU16(checksumAt, updated(frame.u16(checksumAt), old, address));
                port(frame, portAt, checksumAt, port);
                keepChecksum(frame, protocol, checksumAt);
            } else {
                frame.putU16(portAt, port);
            }
        }
        int after = InternetChecksum.sum(frame.header(), start, end - quotedAt);
        int at = layers.l4At + 2;
        frame.putU16(at, InternetChecksum.updated(frame.u16(at), before, after));
        address(frame, layers.l3At, layers.l3At + (ofSource ? 16 : 12), address);
    }
}
