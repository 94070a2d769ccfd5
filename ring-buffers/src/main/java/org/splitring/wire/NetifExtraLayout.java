package org.splitring.wire;

import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;

/// A slot of extra information about a frame: 8 bytes, in either ring of a vif.
///
///     byte  0      1       2                4      5        6          8
///           +------+-------+----------------+------+--------+----------+
///     GSO   | type | flags | size (MSS)     | type | (pad)  | features |
///           +------+-------+----------------+------+--------+----------+
///     MCAST | type | flags | addr: six bytes of a multicast address    |
///           +------+-------+------+---------+-----------------+--------+
///     HASH  | type | flags | type |algorithm| value, four bytes        |
///           +------+-------+------+---------+--------------------------+
///     writer  whoever fills the ring: frontend in tx, backend in rx; little-endian
///
/// `FLAG_MORE` says that another extra follows. How many may follow is for the reader to limit.
///
/// Source: Xen `public/io/netif.h`, `struct netif_extra_info`.
public final class NetifExtraLayout {
    /// With the GSO form of the union.
    public static final StructLayout GSO =
            struct(
                    "netif_extra_info.gso",
                    U8.withName("type"),
                    U8.withName("flags"),
                    U16.withName("gso.size"),
                    U8.withName("gso.type"),
                    U8.withName("gso.pad"),
                    U16.withName("gso.features"));

    /// With the multicast form of the union.
    public static final StructLayout MCAST =
            struct(
                    "netif_extra_info.mcast",
                    U8.withName("type"),
                    U8.withName("flags"),
                    MemoryLayout.sequenceLayout(6, U8).withName("mcast.addr"));

    /// With the hash form of the union.
    public static final StructLayout HASH =
            struct(
                    "netif_extra_info.hash",
                    U8.withName("type"),
                    U8.withName("flags"),
                    U8.withName("hash.type"),
                    U8.withName("hash.algorithm"),
                    MemoryLayout.sequenceLayout(4, U8).withName("hash.value"));

    /// Bytes of every form.
    public static final int SIZE_BYTES = (int) GSO.byteSize();

    public static final int TYPE_NONE = 0;
    public static final int TYPE_GSO = 1;
    public static final int TYPE_MCAST_ADD = 2;
    public static final int TYPE_MCAST_DEL = 3;
    public static final int TYPE_HASH = 4;

    /// One more than the highest type.
    public static final int TYPE_MAX = 5;

    public static final int FLAG_MORE = 1;

    public static final int GSO_TYPE_NONE = 0;
    public static final int GSO_TYPE_TCPV4 = 1;
    public static final int GSO_TYPE_TCPV6 = 2;

    private NetifExtraLayout() {}
}
