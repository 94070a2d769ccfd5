package org.splitring.wire;

import static org.splitring.wire.WireTypes.LONG;
import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.VarHandle;

/// Slots of a vif's rx ring: empty pages offered by the frontend, and frames put into them.
///
///     request  byte  0        2        4        8
///                    +--------+--------+--------+
///                    | id     | (pad)  | gref   |
///                    +--------+--------+--------+
///     response byte  0        2        4        6        8
///                    +--------+--------+--------+--------+
///                    | id     | offset | flags  | status |    status: bytes in the page, or an
/// error
///                    +--------+--------+--------+--------+
///
/// The frontend writes requests, the backend responses over them; all little-endian. Slots are 8
/// bytes apart: a page holds 256. A frame of several pages has `MORE_DATA` in all but the last; a
/// first response with `EXTRA_INFO` is followed by [NetifExtraLayout] slots, each of which takes
/// the place of a response.
///
/// Source: Xen `public/io/netif.h`, `struct netif_rx_request`, `struct netif_rx_response`.
public final class NetifRxLayout {
    public static final StructLayout REQUEST =
            struct(
                    "netif_rx_request",
                    U16.withName("id"),
                    U16.withName("pad"),
                    U32.withName("gref"));

    public static final StructLayout RESPONSE =
            struct(
                    "netif_rx_response",
                    U16.withName("id"),
                    U16.withName("offset"),
                    U16.withName("flags"),
                    U16.withName("status"));

    /// Distance of the ring's slots.
    public static final int ENTRY_SIZE_BYTES = (int) RESPONSE.byteSize();

    public static final int DATA_VALIDATED = 1;
    public static final int CSUM_BLANK = 1 << 1;
    public static final int MORE_DATA = 1 << 2;
    public static final int EXTRA_INFO = 1 << 3;

    /// An older form of the GSO extra; nobody sends it any more.
    public static final int GSO_PREFIX = 1 << 4;

    /// Aligned, since the slots of a ring are: read in one piece.
    private static final VarHandle SLOT = WireTypes.U64.varHandle().withInvokeExactBehavior();

    private NetifRxLayout() {}

    /// A whole slot of the ring, read once: take it apart with [#idOf] and [#grefOf], or with
    /// [#offsetOf], [#flagsOf] and [#statusOf] where it is a response. Whoever copies a slot at a
    /// time pays for a call each time; eight bytes fit a register.
    public static long readSlot(MemorySegment s, long base) {
        return (long) SLOT.getOpaque(s, base);
    }

    /// Stores a whole slot, as [#readSlot] has read it.
    public static void writeSlot(MemorySegment s, long base, long slot) {
        SLOT.set(s, base, slot);
    }

    public static int idOf(long slot) {
        return (int) slot & 0xFFFF;
    }

    public static int grefOf(long request) {
        return (int) (request >>> 32);
    }

    /// Where the data begins in the page: 0 to 65535, not checked.
    public static int offsetOf(long response) {
        return (int) (response >>> 16) & 0xFFFF;
    }

    public static int flagsOf(long response) {
        return (int) (response >>> 32) & 0xFFFF;
    }

    /// How many bytes are in the page, or a negative [NetifStatus].
    public static int statusOf(long response) {
        return (short) (response >>> 48);
    }

    /// Fills a request; its padding is 0. Fields are written together, since each access to
    /// memory is checked.
    public static void writeRequest(MemorySegment s, long base, int id, int gref) {
        LONG.set(s, base, (id & 0xFFFFL) | (long) gref << 32);
    }

    /// Fills a response.
    ///
    /// @param status how many bytes are in the page, or a negative [NetifStatus]
    public static void writeResponse(
            MemorySegment s, long base, int id, int offsetInPage, int flags, int status) {
        long slot =
                (id & 0xFFFFL)
                        | (offsetInPage & 0xFFFFL) << 16
                        | (flags & 0xFFFFL) << 32
                        | (long) status << 48;
        LONG.set(s, base, slot);
    }
}
