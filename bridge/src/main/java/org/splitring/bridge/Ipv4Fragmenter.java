package org.splitring.bridge;

/// Cuts a packet into fragments for a smaller MTU (RFC 791 §3.2). Fragments of fragments too. The
/// payload stays in the sender's pages. The network's loop.
final class Ipv4Fragmenter {
    private static final int MORE = 0x2000;
    private static final int COPIED = 0x80;

    private final Frame fragment = new Frame();

    /// Sends the fragments in order.
    ///
    /// @param frame larger than the MTU; no large segment; may be changed
    /// @return fragments that were sent; 0 when the port did not take all of them
    int send(Frame frame, PortLink to, int mtu) {
        if (frame.checksumState() == ChecksumState.PARTIAL) {
            InternetChecksum.complete(frame);
        }
        FrameLayers layers = frame.layers();
        int l3At = layers.l3At;
        int dataAt = layers.l4At;
        int end = layers.ipEnd;
        int word = frame.u16(l3At + 6);
        int room = mtu - (dataAt - l3At) & ~7;
        if (room <= 0) {
            return 0;
        }
        int count = 0;
        boolean all = true;
        for (int at = dataAt; at < end; at += room) {
            int n = Math.min(room, end - at);
            fragment.reset();
            fragment.appendHeader(frame.header(), frame.headerStart(), dataAt);
            fragment.appendRange(frame, at, n);
            fragment.completeChecksum(frame.checksumState());
            fragment.putU16(l3At + 2, dataAt - l3At + n);
            int offset = (word & 0x1FFF) + ((at - dataAt) >>> 3);
            boolean more = at + n < end || (word & MORE) != 0;
            fragment.putU16(l3At + 6, offset | (more ? MORE : 0));
            if (at > dataAt) {
                blankOptions(l3At + 20, dataAt);
            }
            fragment.headersChanged();
            InternetChecksum.writeIpv4Header(fragment, fragment.layers());
            all &= to.send(fragment);
            count++;
        }
        return all ? count : 0;
    }

    /// Options that belong in the first fragment only become no-operations in the others.
    private void blankOptions(int from, int end) {
        int at = from;
        while (at < end) {
            int type = fragment.u8(at);
            if (type == 0) {
                return;
            }
            int length = type == 1 ? 1 : Math.max(2, fragment.u8(at + 1));
            for (int i = at; (type & COPIED) == 0 && i < Math.min(end, at + length); i++) {
                fragment.putU8(i, 1);
            }
            at += length;
        }
    }
}
