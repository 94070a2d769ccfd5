package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;

/// What stands between UDP's header and the frame.
///
///     byte 0        1                4                7          8
///          +--------+----------------+----------------+----------+
///          | flags  | reserved       | VNI, u24 BE    | reserved |
///          +--------+----------------+----------------+----------+
///
/// `flags` has the I bit (0x08), which says that there is a VNI. RFC 7348 wants reserved bits sent
/// as zero and ignored; like Linux we drop a frame that has one, since each has got a meaning by
/// now (group policy, generic protocol extension) that changes what follows.
///
/// Source: RFC 7348 §5.
final class VxlanHeader {
    static final int BYTES = 8;
    static final int MAX_VNI = 0xFF_FFFF;

    /// What [#vni] says of something else.
    static final int NONE = -1;

    private static final int FLAG_VNI = 0x0800_0000;

    private VxlanHeader() {}

    static void write(ByteBuf to, int vni) {
        to.setInt(0, FLAG_VNI);
        to.setInt(4, vni << 8);
    }

    /// The VNI of a datagram of at least [#BYTES]; [#NONE] when it is not VXLAN as we know it.
    static int vni(ByteBuf from) {
        int start = from.readerIndex();
        int second = from.getInt(start + 4);
        return from.getInt(start) == FLAG_VNI && (second & 0xFF) == 0 ? second >>> 8 : NONE;
    }
}
