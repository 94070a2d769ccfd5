package org.splitring.wire;

import static org.splitring.wire.WireTypes.INT;
import static org.splitring.wire.WireTypes.LONG;
import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.VarHandle;

/// Slots of a vif's tx ring: frames from the frontend.
///
///     request  byte  0        4        6        8        10       12
///                    +--------+--------+--------+--------+--------+
///                    | gref   | offset | flags  | id     | size   |
///                    +--------+--------+--------+--------+--------+
///     response byte  0        2        4
///                    +--------+--------+
///                    | id     | status |
///                    +--------+--------+
///
/// The frontend writes requests, the backend responses over them; all little-endian. Slots are 12
/// bytes apart: a page holds 256. A frame of several slots has `MORE_DATA` in all but the last,
/// and the `size` of its first slot is the size of the whole frame. A first slot with `EXTRA_INFO`
/// is followed by [NetifExtraLayout] slots before the next slot of data.
///
/// Source: Xen `public/io/netif.h`, `struct netif_tx_request`, `struct netif_tx_response`.
public final class NetifTxLayout {
    public static final StructLayout REQUEST =
            struct(
                    "netif_tx_request",
                    U32.withName("gref"),
                    U16.withName("offset"),
                    U16.withName("flags"),
                    U16.withName("id"),
                    U16.withName("size"));

    public static final StructLayout RESPONSE =
            struct("netif_tx_response", U16.withName("id"), U16.withName("status"));

    /// Distance of the ring's slots.
    public static final int ENTRY_SIZE_BYTES = (int) REQUEST.byteSize();

    /// `XEN_NETIF_NR_SLOTS_MIN`: slots a frame may take with every backend.
    public static final int NR_SLOTS_MIN = 18;

    /// `XEN_NETIF_MAX_TX_SIZE`: largest frame.
    public static final int MAX_SIZE_BYTES = 0xFFFF;

    public static final int CSUM_BLANK = 1;
    public static final int DATA_VALIDATED = 1 << 1;
    public static final int MORE_DATA = 1 << 2;
    public static final int EXTRA_INFO = 1 << 3;

    private static final long ID = offset(REQUEST, "id"); // of the second word

    /// Aligned, since the slots of a ring are: read in one piece.
    private static final VarHandle RESPONSE_WORD =
            WireTypes.U32.varHandle().withInvokeExactBehavior();

    private NetifTxLayout() {}

    /// The first eight bytes of a request: [#grefOf], [#offsetOf], [#flagsOf]. Fields are read
    /// and written together, since each access to memory is checked.
    public static long readHead(MemorySegment s, long base) {
        return (long) LONG.get(s, base);
    }

    /// The last four bytes of a request: [#idOf], [#sizeOf].
    public static int readTail(MemorySegment s, long base) {
        return (int) INT.get(s, base + ID);
    }

    public static int grefOf(long head) {
        return (int) head;
    }

    /// Where the data begins in the granted page: 0 to 65535, not checked.
    public static int offsetOf(long head) {
        return (int) (head >>> 32) & 0xFFFF;
    }

    public static int flagsOf(long head) {
        return (int) (head >>> 48);
    }

    public static int idOf(int tail) {
        return tail & 0xFFFF;
    }

    /// Bytes of the frame in its first slot, of the piece in the others.
    public static int sizeOf(int tail) {
        return tail >>> 16;
    }

    public static void writeRequest(
            MemorySegment s,
            long base,
            int gref,
            int offsetInPage,
            int flags,
            int id,
            int sizeBytes) {
        long head =
                (gref & 0xFFFF_FFFFL) | (offsetInPage & 0xFFFFL) << 32 | (flags & 0xFFFFL) << 48;
        LONG.set(s, base, head);
        INT.set(s, base + ID, (id & 0xFFFF) | sizeBytes << 16);
    }

    /// A response on the ring, read once: take it apart with [#responseIdOf] and
    /// [#responseStatusOf].
    public static int readResponse(MemorySegment s, long base) {
        return (int) RESPONSE_WORD.getOpaque(s, base);
    }

    public static int responseIdOf(int response) {
        return response & 0xFFFF;
    }

    /// One of [NetifStatus], or whatever else a backend wrote.
    public static int responseStatusOf(int response) {
        return response >> 16;
    }

    /// Fills a response: the two fields, and not one byte more.
    public static void writeResponse(MemorySegment s, long base, int id, int status) {
        INT.set(s, base, (id & 0xFFFF) | status << 16);
    }
}
