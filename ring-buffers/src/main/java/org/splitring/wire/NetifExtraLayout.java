package org.splitring.wire;

import static org.splitring.wire.WireTypes.BYTE;
import static org.splitring.wire.WireTypes.INT;
import static org.splitring.wire.WireTypes.SHORT;
import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
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

    /// Of Linux's `xen/interface/io/netif.h` alone: `XEN_NETIF_EXTRA_TYPE_XDP`, sent to frontends
    /// that asked for headroom. The headroom is where a GSO extra has its size.
    private static final int TYPE_XDP_OF_LINUX = 5;

    private static final long TYPE = offset(GSO, "type");
    private static final long FLAGS = offset(GSO, "flags");
    private static final long GSO_SIZE = offset(GSO, "gso.size");
    private static final long GSO_KIND = offset(GSO, "gso.type");
    private static final long GSO_PAD = offset(GSO, "gso.pad");
    private static final long GSO_FEATURES = offset(GSO, "gso.features");
    private static final long MCAST_ADDR = offset(MCAST, "mcast.addr");
    private static final long HASH_KIND = offset(HASH, "hash.type");
    private static final long HASH_ALGORITHM = offset(HASH, "hash.algorithm");
    private static final long HASH_VALUE = offset(HASH, "hash.value");

    private NetifExtraLayout() {}

    public static int type(MemorySegment s, long base) {
        return u8(s, base + TYPE);
    }

    public static int flags(MemorySegment s, long base) {
        return u8(s, base + FLAGS);
    }

    /// Payload bytes of each segment, 0 to 65535, not checked.
    public static int gsoSize(MemorySegment s, long base) {
        return Short.toUnsignedInt((short) SHORT.get(s, base + GSO_SIZE));
    }

    /// `GSO_TYPE_*`, not checked.
    public static int gsoType(MemorySegment s, long base) {
        return u8(s, base + GSO_KIND);
    }

    /// The multicast address, in the low 48 bits, first byte highest.
    public static long mcastAddress(MemorySegment s, long base) {
        long address = 0;
        for (int i = 0; i < 6; i++) {
            address = address << 8 | u8(s, base + MCAST_ADDR + i);
        }
        return address;
    }

    /// Number of one of the `NetifCtrlLayout.HASH_TYPE_*` bits: 0 to 3, not checked.
    public static int hashType(MemorySegment s, long base) {
        return u8(s, base + HASH_KIND);
    }

    public static int hashAlgorithm(MemorySegment s, long base) {
        return u8(s, base + HASH_ALGORITHM);
    }

    public static int hashValue(MemorySegment s, long base) {
        return (int) INT.get(s, base + HASH_VALUE);
    }

    /// Fills all 8 bytes of a GSO extra.
    public static void writeGso(MemorySegment s, long base, int flags, int gsoType, int gsoSize) {
        BYTE.set(s, base + TYPE, (byte) TYPE_GSO);
        BYTE.set(s, base + FLAGS, (byte) flags);
        SHORT.set(s, base + GSO_SIZE, (short) gsoSize);
        BYTE.set(s, base + GSO_KIND, (byte) gsoType);
        BYTE.set(s, base + GSO_PAD, (byte) 0);
        SHORT.set(s, base + GSO_FEATURES, (short) 0);
    }

    /// Fills all 8 bytes of a multicast extra.
    ///
    /// @param type [#TYPE_MCAST_ADD] or [#TYPE_MCAST_DEL]
    public static void writeMcast(MemorySegment s, long base, int type, int flags, long address) {
        BYTE.set(s, base + TYPE, (byte) type);
        BYTE.set(s, base + FLAGS, (byte) flags);
        for (int i = 0; i < 6; i++) {
            BYTE.set(s, base + MCAST_ADDR + i, (byte) (address >>> (40 - 8 * i)));
        }
    }

    /// Fills all 8 bytes of a hash extra.
    public static void writeHash(
            MemorySegment s, long base, int flags, int hashType, int algorithm, int value) {
        BYTE.set(s, base + TYPE, (byte) TYPE_HASH);
        BYTE.set(s, base + FLAGS, (byte) flags);
        BYTE.set(s, base + HASH_KIND, (byte) hashType);
        BYTE.set(s, base + HASH_ALGORITHM, (byte) algorithm);
        INT.set(s, base + HASH_VALUE, value);
    }

    /// Whether this is the extra that [#writeXdp] writes.
    public static boolean isXdp(MemorySegment s, long base) {
        return type(s, base) == TYPE_XDP_OF_LINUX;
    }

    /// The bytes before the data in each page, 0 to 65535, not checked.
    public static int xdpHeadroom(MemorySegment s, long base) {
        return gsoSize(s, base);
    }

    /// Fills all 8 bytes of an extra that says how much room is before the data in each page.
    public static void writeXdp(MemorySegment s, long base, int flags, int headroom) {
        writeGso(s, base, flags, 0, headroom);
        BYTE.set(s, base + TYPE, (byte) TYPE_XDP_OF_LINUX);
    }

    private static int u8(MemorySegment s, long at) {
        return Byte.toUnsignedInt((byte) BYTE.get(s, at));
    }
}
