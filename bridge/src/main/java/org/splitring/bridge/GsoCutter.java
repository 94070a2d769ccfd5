package org.splitring.bridge;

/// Cuts large TCP segments for a port that cannot: each piece is a frame with a header of its
/// own and payload
/// that still lies in the sender's pages.
///
/// One for each network: the frame that is passed on is reused. Called on the network's loop.
final class GsoCutter {
    /// A smaller segment size is not believed: 64 KiB in segments of 1 byte would be 65,000
    /// frames for one (H-051). The smallest MTU of IPv4 hosts, 576, leaves 536; networks made of
    /// less have no use for GSO.
    static final int MIN_SEGMENT_BYTES = 128;

    private static final int FIN = 0x01;
    private static final int PSH = 0x08;
    private static final int CWR = 0x80;
    private static final int TCP_CHECKSUM = 16;

    private final Frame segment = new Frame();

    /// Whether the frame is what its metadata says: TCP of that family, whole, headers in the
    /// private
    /// header, with a partial checksum at the right place and a segment size that makes sense.
    static boolean agrees(Frame frame) {
        if (frame.gsoSizeBytes() < MIN_SEGMENT_BYTES
                || frame.checksumState() != ChecksumState.PARTIAL) {
            return false;
        }
        FrameLayers layers = frame.layers();
        return layers.ipVersion == (frame.gsoType() == GsoType.TCPV4 ? 4 : 6)
                && layers.ipProtocol == FrameLayers.TCP
                && layers.checksumCanBePartial(frame)
                && frame.checksumStart() == layers.l4At
                && frame.checksumOffset() == TCP_CHECKSUM
                && tcpHeaderBytes(frame, layers) >= 20
                && layers.hasL4(frame, tcpHeaderBytes(frame, layers));
    }

    static int tcpHeaderBytes(Frame frame, FrameLayers layers) {
        return (frame.u8(layers.l4At + 12) >>> 4) * 4;
    }

    /// Passes the segments of `frame` to `link`, in order, as frames with a partial checksum.
    ///
    /// @param frame one that [#agrees]
    /// @return whether all segments were taken
    boolean cut(Frame frame, PortLink link) {
        FrameLayers layers = frame.layers();
        int l3At = layers.l3At;
        int l4At = layers.l4At;
        int payloadAt = l4At + tcpHeaderBytes(frame, layers);
        int end = layers.ipEnd;
        int flags = frame.u8(l4At + 13);
        int sequence = frame.i32(l4At + 4);
        int id = layers.ipVersion == 4 ? frame.u16(l3At + 4) : 0;
        long addresses = InternetChecksum.addresses(frame, layers);
        boolean all = true;
        int at = payloadAt;
        do {
            int n = Math.min(frame.gsoSizeBytes(), end - at);
            boolean first = at == payloadAt;
            boolean last = at + n == end;
            segment.reset();
            segment.appendHeader(frame.header(), frame.headerStart(), payloadAt);
            segment.appendRange(frame, at, n);
            if (layers.ipVersion == 4) {
                segment.putU16(l3At + 2, payloadAt + n - l3At);
                segment.putU16(l3At + 4, id++);
                InternetChecksum.writeIpv4Header(segment, layers);
            } else {
                segment.putU16(l3At + 4, payloadAt + n - l3At - 40);
            }
            segment.putI32(l4At + 4, sequence + (at - payloadAt));
            int keep = (first ? 0xFF : ~CWR) & (last ? 0xFF : ~(FIN | PSH));
            segment.putU8(l4At + 13, flags & keep);
            segment.putU16(
                    l4At + TCP_CHECKSUM,
                    InternetChecksum.fold(addresses + FrameLayers.TCP + (payloadAt - l4At + n)));
            segment.partialChecksum(l4At, TCP_CHECKSUM);
            segment.flowHash(frame.flowHash(), frame.flowHashType());
            all &= link.sendWhole(segment);
            at += n;
        } while (at < end);
        return all;
    }
}
