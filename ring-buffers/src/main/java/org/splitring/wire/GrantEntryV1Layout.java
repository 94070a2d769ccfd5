package org.splitring.wire;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// One entry of a version 1 grant table: eight bytes, 512 of them in a page.
///
///     byte  0          2          4                     8
///           +----------+----------+---------------------+
///           | flags    | domid    | frame (gfn)         |
///           +----------+----------+---------------------+
///     writer  guest; the granted side sets GTF_reading and GTF_writing in flags
///
/// Little-endian; an entry that grants nothing is zero. `flags` and `domid` together are the 32-bit
/// word on which both sides compare and set: [#FLAGS_AND_DOMID], with the flags in the low half.
///
/// Source: Xen `public/grant_table.h`, `struct grant_entry_v1`.
public final class GrantEntryV1Layout {
    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    public static final StructLayout ENTRY =
            MemoryLayout.structLayout(
                            U16.withName("flags"), U16.withName("domid"), U32.withName("frame"))
                    .withName("grant_entry_v1");

    public static final int SIZE_BYTES = (int) ENTRY.byteSize();
    public static final int ENTRIES_PER_PAGE = 4096 / SIZE_BYTES;
    public static final int SIZE_SHIFT = Integer.numberOfTrailingZeros(SIZE_BYTES);

    public static final long FLAGS_OFFSET = offset("flags");
    public static final long DOMID_OFFSET = offset("domid");
    public static final long FRAME_OFFSET = offset("frame");

    /// The word of `flags` (low 16 bits) and `domid` (high 16 bits). Coordinates: segment, byte
    /// offset of the entry plus [#FLAGS_OFFSET].
    public static final VarHandle FLAGS_AND_DOMID = U32.varHandle().withInvokeExactBehavior();

    /// `frame`. Coordinates: segment, byte offset of the entry plus [#FRAME_OFFSET].
    public static final VarHandle FRAME = U32.varHandle().withInvokeExactBehavior();

    public static final int GTF_INVALID = 0;
    public static final int GTF_PERMIT_ACCESS = 1;
    public static final int GTF_ACCEPT_TRANSFER = 2;
    public static final int GTF_TRANSITIVE = 3;
    public static final int GTF_TYPE_MASK = 3;
    public static final int GTF_READONLY = 1 << 2;
    public static final int GTF_READING = 1 << 3;
    public static final int GTF_WRITING = 1 << 4;
    public static final int GTF_PWT = 1 << 5;
    public static final int GTF_PCD = 1 << 6;
    public static final int GTF_PAT = 1 << 7;
    public static final int GTF_SUB_PAGE = 1 << 8;

    /// References below this one are reserved (`GNTTAB_NR_RESERVED_ENTRIES`).
    public static final int RESERVED_ENTRIES = 8;

    private GrantEntryV1Layout() {}

    private static long offset(String field) {
        return ENTRY.byteOffset(MemoryLayout.PathElement.groupElement(field));
    }
}
