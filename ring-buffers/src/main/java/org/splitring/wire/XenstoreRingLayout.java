package org.splitring.wire;

import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;

/// The xenstore page: two rings of 1024 bytes between a domain and the store.
///
///     byte  0        1024     2048     2052     2056     2060     2064      2068       2072  2076
///
/// +--------+--------+--------+--------+--------+--------+---------+----------+-----+----+
///           | req    | rsp    |req_cons|req_prod|rsp_cons|rsp_prod|features
/// |connection|error|port|
///
/// +--------+--------+--------+--------+--------+--------+---------+----------+-----+----+
///     writer  domain   store    store    domain   domain   store    store     both      store
/// tools
///
/// Size 2076 in Xen 4.17, where `evtchn_port` is not there yet; in a page of its own. Indices are
/// little-endian u32, free-running; a byte is at `index & 1023`. The toolstack zeroes the page
/// before the domain starts, and leaves the domain's own port at 2076. `connection` is 0 when all
/// is well; a domain writes 1 to have both rings reset, and the store puts 0 back.
///
/// Source: Xen `public/io/xs_wire.h`, `struct xenstore_domain_interface`.
public final class XenstoreRingLayout {
    /// `XENSTORE_RING_SIZE`: bytes of each of the two rings.
    public static final int RING_SIZE_BYTES = 1024;

    public static final StructLayout PAGE =
            struct(
                    "xenstore_domain_interface",
                    MemoryLayout.sequenceLayout(RING_SIZE_BYTES, U8).withName("req"),
                    MemoryLayout.sequenceLayout(RING_SIZE_BYTES, U8).withName("rsp"),
                    U32.withName("req_cons"),
                    U32.withName("req_prod"),
                    U32.withName("rsp_cons"),
                    U32.withName("rsp_prod"),
                    U32.withName("server_features"),
                    U32.withName("connection"),
                    U32.withName("error"));

    public static final long REQ = offset(PAGE, "req");
    public static final long RSP = offset(PAGE, "rsp");
    public static final long REQ_CONS = offset(PAGE, "req_cons");
    public static final long REQ_PROD = offset(PAGE, "req_prod");
    public static final long RSP_CONS = offset(PAGE, "rsp_cons");
    public static final long RSP_PROD = offset(PAGE, "rsp_prod");
    public static final long SERVER_FEATURES = offset(PAGE, "server_features");
    public static final long CONNECTION = offset(PAGE, "connection");
    public static final long ERROR = offset(PAGE, "error");

    /// `evtchn_port` of headers later than 4.17: the number of the domain's own port of the channel
    /// to the store, or 0.
    public static final long EVTCHN_PORT = PAGE.byteSize();

    /// Bit of `server_features`: the store acts on `connection`.
    public static final int FEATURE_RECONNECTION = 1;

    /// Bit of `server_features`: the store writes `error`.
    public static final int FEATURE_ERROR = 2;

    public static final int CONNECTED = 0;
    public static final int RECONNECT = 1;

    public static final int ERROR_NONE = 0;
    public static final int ERROR_COMM = 1;
    public static final int ERROR_RINGIDX = 2;
    public static final int ERROR_PROTO = 3;

    private XenstoreRingLayout() {}
}
