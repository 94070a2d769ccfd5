package org.splitring.wire;

import static org.splitring.wire.WireTypes.INT;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/// Header of every xenstore message, on the ring and on the socket alike.
///
///     byte  0        4        8        12       16
///           +--------+--------+--------+--------+------------------
///           | type   | req_id | tx_id  | len    | len bytes of payload, at most 4096
///           +--------+--------+--------+--------+------------------
///     writer  whoever sends; the reply repeats type, req_id and tx_id, or has type ERROR
///
/// Four little-endian u32. A `tx_id` of 0 means outside of any transaction.
///
/// Source: Xen `public/io/xs_wire.h`, `struct xsd_sockmsg` and `enum xsd_sockmsg_type`.
public final class XsdSockmsgLayout {
    public static final StructLayout HEADER =
            struct(
                    "xsd_sockmsg",
                    U32.withName("type"),
                    U32.withName("req_id"),
                    U32.withName("tx_id"),
                    U32.withName("len"));

    public static final int SIZE_BYTES = (int) HEADER.byteSize();

    /// `XENSTORE_PAYLOAD_MAX`: a message that says more ends the connection.
    public static final int PAYLOAD_MAX_BYTES = 4096;

    /// `XENSTORE_ABS_PATH_MAX`: longest path that begins with a slash.
    public static final int ABS_PATH_MAX_BYTES = 3072;

    /// `XENSTORE_REL_PATH_MAX`: longest path relative to the domain's own.
    public static final int REL_PATH_MAX_BYTES = 2048;

    public static final int CONTROL = 0;
    public static final int DIRECTORY = 1;
    public static final int READ = 2;
    public static final int GET_PERMS = 3;
    public static final int WATCH = 4;
    public static final int UNWATCH = 5;
    public static final int TRANSACTION_START = 6;
    public static final int TRANSACTION_END = 7;
    public static final int INTRODUCE = 8;
    public static final int RELEASE = 9;
    public static final int GET_DOMAIN_PATH = 10;
    public static final int WRITE = 11;
    public static final int MKDIR = 12;
    public static final int RM = 13;
    public static final int SET_PERMS = 14;
    public static final int WATCH_EVENT = 15;
    public static final int ERROR = 16;
    public static final int IS_DOMAIN_INTRODUCED = 17;
    public static final int RESUME = 18;
    public static final int SET_TARGET = 19;

    // 20 was XS_RESTRICT and is gone.
    public static final int RESET_WATCHES = 21;
    public static final int DIRECTORY_PART = 22;

    // Later than the header of Xen 4.17.
    public static final int GET_FEATURE = 23;
    public static final int SET_FEATURE = 24;
    public static final int GET_QUOTA = 25;
    public static final int SET_QUOTA = 26;

    /// `XS_TYPE_COUNT` of that header: one more than its highest type.
    public static final int TYPE_COUNT = 23;

    /// `XS_INVALID`: will never be a type.
    public static final int INVALID = 0xFFFF;

    private static final long TYPE_OFFSET = offset(HEADER, "type");
    private static final long REQ_ID_OFFSET = offset(HEADER, "req_id");
    private static final long TX_ID_OFFSET = offset(HEADER, "tx_id");
    private static final long LEN_OFFSET = offset(HEADER, "len");

    private XsdSockmsgLayout() {}

    public static int type(MemorySegment s, long base) {
        return (int) INT.get(s, base + TYPE_OFFSET);
    }

    public static int reqId(MemorySegment s, long base) {
        return (int) INT.get(s, base + REQ_ID_OFFSET);
    }

    public static int txId(MemorySegment s, long base) {
        return (int) INT.get(s, base + TX_ID_OFFSET);
    }

    /// Bytes of payload, unsigned and not checked against [#PAYLOAD_MAX_BYTES].
    public static long len(MemorySegment s, long base) {
        return Integer.toUnsignedLong((int) INT.get(s, base + LEN_OFFSET));
    }

    public static void write(MemorySegment s, long base, int type, int reqId, int txId, int len) {
        INT.set(s, base + TYPE_OFFSET, type);
        INT.set(s, base + REQ_ID_OFFSET, reqId);
        INT.set(s, base + TX_ID_OFFSET, txId);
        INT.set(s, base + LEN_OFFSET, len);
    }
}
