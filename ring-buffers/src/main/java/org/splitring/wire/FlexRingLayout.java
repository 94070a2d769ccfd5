package org.splitring.wire;

import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;

/// The index page of a flexible ring, as 9pfs and pvcalls have it: indices of two byte rings, and
/// the references of the pages that hold the bytes.
///
///     byte  0        4        8         12       64        68        72         76      128
/// 132
///
/// +--------+--------+---------+--------+---------+---------+----------+-------+-------+----
///           | in_cons| in_prod|(in_error)| pad   | out_cons| out_prod|(out_error)| pad  | order |
/// ref
///
/// +--------+--------+---------+--------+---------+---------+----------+-------+-------+----
///     writer  front    back     back               back      front     back               front
/// front
///
/// The two error words exist in pvcalls only; in 9pfs they are padding. The pages that `ref` names
/// hold `in` in their first half and `out` in their second, each `2 ^ (order + 11)` bytes; the page
/// has room for the references of order 9 (512 pages). Indices are little-endian u32 and
/// free-running; the frontend zeroes the page before it shows it.
///
/// Source: Xen `public/io/ring.h`, `DEFINE_XEN_FLEX_RING_AND_INTF`, and `public/io/pvcalls.h`,
/// `struct pvcalls_data_intf`.
public final class FlexRingLayout {
    /// Highest order whose references fit into the index page.
    public static final int MAX_ORDER = 9;

    /// The index page of 9pfs, and of every ring made with the macro.
    public static final StructLayout INTERFACE =
            struct(
                    "xen_9pfs_data_intf",
                    U32.withName("in_cons"),
                    U32.withName("in_prod"),
                    MemoryLayout.sequenceLayout(56, U8).withName("pad1"),
                    U32.withName("out_cons"),
                    U32.withName("out_prod"),
                    MemoryLayout.sequenceLayout(56, U8).withName("pad2"),
                    U32.withName("ring_order"));

    /// The index page of pvcalls.
    public static final StructLayout PVCALLS_INTERFACE =
            struct(
                    "pvcalls_data_intf",
                    U32.withName("in_cons"),
                    U32.withName("in_prod"),
                    U32.withName("in_error"),
                    MemoryLayout.sequenceLayout(52, U8).withName("pad1"),
                    U32.withName("out_cons"),
                    U32.withName("out_prod"),
                    U32.withName("out_error"),
                    MemoryLayout.sequenceLayout(52, U8).withName("pad2"),
                    U32.withName("ring_order"));

    public static final long IN_CONS = offset(INTERFACE, "in_cons");
    public static final long IN_PROD = offset(INTERFACE, "in_prod");
    public static final long OUT_CONS = offset(INTERFACE, "out_cons");
    public static final long OUT_PROD = offset(INTERFACE, "out_prod");
    public static final long RING_ORDER = offset(INTERFACE, "ring_order");
    public static final long PVCALLS_IN_ERROR = offset(PVCALLS_INTERFACE, "in_error");
    public static final long PVCALLS_OUT_ERROR = offset(PVCALLS_INTERFACE, "out_error");

    /// Where the first reference is: behind the last field, u32 each.
    public static final long REF = INTERFACE.byteSize();

    private FlexRingLayout() {}

    /// `XEN_FLEX_RING_SIZE`: bytes of one of the two rings.
    ///
    /// @throws IllegalArgumentException when `order` is not in 0 to 9
    public static int ringSizeBytes(int order) {
        if (order < 0 || order > MAX_ORDER) { // before any shift
            throw new IllegalArgumentException("flexible ring of order " + order);
        }
        return 1 << (order + 11);
    }
}
