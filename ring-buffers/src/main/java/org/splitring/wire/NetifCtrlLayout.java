package org.splitring.wire;

import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
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

    private NetifCtrlLayout() {}
}
