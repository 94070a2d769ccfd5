package org.splitring.wire;

import static org.splitring.wire.WireTypes.INT;
import static org.splitring.wire.WireTypes.SHORT;
import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/// Slots of a vif's control ring, and the table of references that some of them point to.
///
///     request  byte  0        2        4                          16
///                    +--------+--------+--------------------------+
///                    | id     | type   | data[3]                  |    by the frontend
///                    +--------+--------+--------------------------+
///     response byte  0        2        4        8        12
///                    +--------+--------+--------+--------+
///                    | id     | type   | status | data   |             by the backend
///                    +--------+--------+--------+--------+
///     gref     byte  0        4        6        8
///                    +--------+--------+--------+
///                    | ref    | flags  | status |                      status by the backend
///                    +--------+--------+--------+
///
/// All little-endian. Slots are 16 bytes apart: a page holds 128. Responses come in order.
///
/// Source: Xen `public/io/netif.h`, `struct xen_netif_ctrl_request`, `xen_netif_ctrl_response`,
/// `xen_netif_gref`.
public final class NetifCtrlLayout {
    public static final StructLayout REQUEST =
            struct(
                    "xen_netif_ctrl_request",
                    U16.withName("id"),
                    U16.withName("type"),
                    MemoryLayout.sequenceLayout(3, U32).withName("data"));

    public static final StructLayout RESPONSE =
            struct(
                    "xen_netif_ctrl_response",
                    U16.withName("id"),
                    U16.withName("type"),
                    U32.withName("status"),
                    U32.withName("data"));

    public static final StructLayout GREF =
            struct(
                    "xen_netif_gref",
                    U32.withName("ref"),
                    U16.withName("flags"),
                    U16.withName("status"));

    /// Distance of the ring's slots.
    public static final int ENTRY_SIZE_BYTES = (int) REQUEST.byteSize();

    /// Distance of the references in a list.
    public static final int GREF_SIZE_BYTES = (int) GREF.byteSize();

    public static final int TYPE_INVALID = 0;
    public static final int TYPE_GET_HASH_FLAGS = 1;
    public static final int TYPE_SET_HASH_FLAGS = 2;
    public static final int TYPE_SET_HASH_KEY = 3;
    public static final int TYPE_GET_HASH_MAPPING_SIZE = 4;
    public static final int TYPE_SET_HASH_MAPPING_SIZE = 5;
    public static final int TYPE_SET_HASH_MAPPING = 6;
    public static final int TYPE_SET_HASH_ALGORITHM = 7;
    public static final int TYPE_GET_GREF_MAPPING_SIZE = 8;
    public static final int TYPE_ADD_GREF_MAPPING = 9;
    public static final int TYPE_DEL_GREF_MAPPING = 10;

    public static final int STATUS_SUCCESS = 0;
    public static final int STATUS_NOT_SUPPORTED = 1;
    public static final int STATUS_INVALID_PARAMETER = 2;
    public static final int STATUS_BUFFER_OVERFLOW = 3;

    public static final int HASH_TYPE_IPV4 = 1;
    public static final int HASH_TYPE_IPV4_TCP = 1 << 1;
    public static final int HASH_TYPE_IPV6 = 1 << 2;
    public static final int HASH_TYPE_IPV6_TCP = 1 << 3;
    public static final int HASH_ALGORITHM_NONE = 0;
    public static final int HASH_ALGORITHM_TOEPLITZ = 1;

    /// Bit of a gref's `flags`: the backend may only read the page.
    public static final int GREF_READONLY = 1;

    private static final long ID = offset(REQUEST, "id");
    private static final long TYPE = offset(REQUEST, "type");
    private static final long DATA = offset(REQUEST, "data");
    private static final long RESPONSE_ID = offset(RESPONSE, "id");
    private static final long RESPONSE_TYPE = offset(RESPONSE, "type");
    private static final long RESPONSE_STATUS = offset(RESPONSE, "status");
    private static final long RESPONSE_DATA = offset(RESPONSE, "data");
    private static final long GREF_REF = offset(GREF, "ref");
    private static final long GREF_FLAGS = offset(GREF, "flags");
    private static final long GREF_STATUS = offset(GREF, "status");

    private NetifCtrlLayout() {}

    public static int id(MemorySegment s, long base) {
        return u16(s, base + ID);
    }

    /// One of `TYPE_*`, not checked.
    public static int type(MemorySegment s, long base) {
        return u16(s, base + TYPE);
    }

    /// One of the three words, any value of 32 bits.
    public static int data(MemorySegment s, long base, int index) {
        return (int) INT.get(s, base + DATA + (long) index * Integer.BYTES);
    }

    public static void writeRequest(
            MemorySegment s, long base, int id, int type, int data0, int data1, int data2) {
        SHORT.set(s, base + ID, (short) id);
        SHORT.set(s, base + TYPE, (short) type);
        INT.set(s, base + DATA, data0);
        INT.set(s, base + DATA + Integer.BYTES, data1);
        INT.set(s, base + DATA + 2 * Integer.BYTES, data2);
    }

    public static int responseId(MemorySegment s, long base) {
        return u16(s, base + RESPONSE_ID);
    }

    public static int responseType(MemorySegment s, long base) {
        return u16(s, base + RESPONSE_TYPE);
    }

    public static int responseStatus(MemorySegment s, long base) {
        return (int) INT.get(s, base + RESPONSE_STATUS);
    }

    public static int responseData(MemorySegment s, long base) {
        return (int) INT.get(s, base + RESPONSE_DATA);
    }

    /// Fills a response: its 12 bytes; the last 4 of the slot stay as they are.
    public static void writeResponse(
            MemorySegment s, long base, int id, int type, int status, int data) {
        SHORT.set(s, base + RESPONSE_ID, (short) id);
        SHORT.set(s, base + RESPONSE_TYPE, (short) type);
        INT.set(s, base + RESPONSE_STATUS, status);
        INT.set(s, base + RESPONSE_DATA, data);
    }

    /// The reference of an entry of a list, not checked.
    public static int gref(MemorySegment s, long base) {
        return (int) INT.get(s, base + GREF_REF);
    }

    /// [#GREF_READONLY], or whatever else a frontend wrote.
    public static int grefFlags(MemorySegment s, long base) {
        return u16(s, base + GREF_FLAGS);
    }

    /// One of `STATUS_*`, or whatever else a backend wrote.
    public static int grefStatus(MemorySegment s, long base) {
        return u16(s, base + GREF_STATUS);
    }

    public static void writeGref(MemorySegment s, long base, int gref, int flags) {
        INT.set(s, base + GREF_REF, gref);
        SHORT.set(s, base + GREF_FLAGS, (short) flags);
    }

    public static void writeGrefStatus(MemorySegment s, long base, int status) {
        SHORT.set(s, base + GREF_STATUS, (short) status);
    }

    private static int u16(MemorySegment s, long at) {
        return Short.toUnsignedInt((short) SHORT.get(s, at));
    }
}
