package org.splitring.hypervisor.attached;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Messages of the attach socket, version 1.
///
///     byte  0        4        8        12       16
///           +--------+--------+--------+--------+------------------------
///           | type   | seq    | status | length | body, 0 to 240 bytes
///           +--------+--------+--------+--------+------------------------
///
///     HELLO            16      20      24           32        36      40         44
///     (request)        +-------+-------+------------+---------+-------+----------+-------+
///                      | magic |version|memory_bytes|table_gfn|frames | store_gfn| flags |
///                      +-------+-------+------------+---------+-------+----------+-------+
///
/// All little-endian. The guest writes requests, the server replies. Described for other languages
/// in `docs/abi.md`, which is where it comes from.
final class AttachMessage {
    static final int MAX_BYTES = 256;
    static final int VERSION = 1;
    static final int MAGIC = 0x524C5053;
    static final int NO_GFN = 0xFFFF_FFFF;

    static final int HELLO = 1;
    static final int ALLOC_UNBOUND = 2;
    static final int BIND_INTERDOMAIN = 3;
    static final int CLOSE = 4;
    static final int STATUS = 5;
    static final int BIND_STATIC = 6;

    static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN).withByteAlignment(4);
    static final ValueLayout.OfLong U64 =
            ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN).withByteAlignment(8);

    static final StructLayout HEADER =
            MemoryLayout.structLayout(
                    U32.withName("type"),
                    U32.withName("seq"),
                    U32.withName("status"),
                    U32.withName("length"));

    static final StructLayout HELLO_REQUEST =
            MemoryLayout.structLayout(
                    HEADER.withName("header"),
                    U32.withName("magic"),
                    U32.withName("version"),
                    U64.withName("memory_bytes"),
                    U32.withName("grant_table_gfn"),
                    U32.withName("grant_table_frames"),
                    U32.withName("xenstore_gfn"),
                    U32.withName("flags"));

    static final StructLayout HELLO_REPLY =
            MemoryLayout.structLayout(
                    HEADER.withName("header"),
                    U32.withName("version"),
                    U32.withName("domid"),
                    U32.withName("backend_domid"),
                    U32.withName("max_ports"));

    /// Requests and replies of event channels: up to three words after the header.
    static final StructLayout WORDS =
            MemoryLayout.structLayout(
                    HEADER.withName("header"),
                    U32.withName("word0"),
                    U32.withName("word1"),
                    U32.withName("word2"));

    static final int HEADER_BYTES = (int) HEADER.byteSize();

    static final long TYPE_AT = offset(HEADER, "type");
    static final long SEQ_AT = offset(HEADER, "seq");
    static final long STATUS_AT = offset(HEADER, "status");
    static final long LENGTH_AT = offset(HEADER, "length");

    static final long MAGIC_AT = offset(HELLO_REQUEST, "magic");
    static final long VERSION_AT = offset(HELLO_REQUEST, "version");
    static final long MEMORY_BYTES_AT = offset(HELLO_REQUEST, "memory_bytes");
    static final long TABLE_GFN_AT = offset(HELLO_REQUEST, "grant_table_gfn");
    static final long TABLE_FRAMES_AT = offset(HELLO_REQUEST, "grant_table_frames");
    static final long XENSTORE_GFN_AT = offset(HELLO_REQUEST, "xenstore_gfn");
    static final long FLAGS_AT = offset(HELLO_REQUEST, "flags");

    static final long REPLY_VERSION_AT = offset(HELLO_REPLY, "version");
    static final long REPLY_DOMID_AT = offset(HELLO_REPLY, "domid");
    static final long REPLY_BACKEND_AT = offset(HELLO_REPLY, "backend_domid");
    static final long REPLY_MAX_PORTS_AT = offset(HELLO_REPLY, "max_ports");

    static final long WORD0_AT = offset(WORDS, "word0");
    static final long WORD1_AT = offset(WORDS, "word1");
    static final long WORD2_AT = offset(WORDS, "word2");

    private AttachMessage() {}

    /// Size of a request's body, or -1 for a type that does not exist.
    static int requestBodyBytes(int type) {
        return switch (type) {
            case HELLO -> (int) HELLO_REQUEST.byteSize() - HEADER_BYTES;
            case BIND_INTERDOMAIN -> 8;
            case ALLOC_UNBOUND, CLOSE, STATUS, BIND_STATIC -> 4;
            default -> -1;
        };
    }

    private static long offset(StructLayout layout, String field) {
        return layout.byteOffset(MemoryLayout.PathElement.groupElement(field));
    }
}
