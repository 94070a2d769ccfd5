package org.splitring.driverdomain.net;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

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
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private VxlanHeader() {}

    static void write(MemorySegment to, long offset, int vni) {
        to.set(U32, offset, FLAG_VNI);
        to.set(U32, offset + 4, vni << 8);
    }

    /// The VNI of a datagram of at least [#BYTES]; [#NONE] when it is not VXLAN as we know it.
    static int vni(MemorySegment from, long offset) {
        int second = from.get(U32, offset + 4);
        return from.get(U32, offset) == FLAG_VNI && (second & 0xFF) == 0 ? second >>> 8 : NONE;
    }
}
