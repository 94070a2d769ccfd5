package org.splitring.wire;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/// The integers that wire structures are made of: little-endian, naturally aligned in the layout.
///
/// The handles take (segment, byte offset) and do not ask for alignment: they are for private
/// copies, which may lie anywhere, and for filling slots that an index publishes later. Words
/// that both sides change while the other looks have handles of their own in their layout class.
final class WireTypes {
    static final ValueLayout.OfByte U8 = ValueLayout.JAVA_BYTE;
    static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfInt U32 = ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong U64 = ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// A u64 as i386 aligns it.
    static final ValueLayout.OfLong U64_ALIGNED_4 = U64.withByteAlignment(4);

    static final VarHandle BYTE = exact(U8);
    static final VarHandle SHORT = exact(U16.withByteAlignment(1));
    static final VarHandle INT = exact(U32.withByteAlignment(1));
    static final VarHandle LONG = exact(U64.withByteAlignment(1));

    private WireTypes() {}

    static long offset(StructLayout struct, String field) {
        return struct.byteOffset(PathElement.groupElement(field));
    }

    /// Puts fields where a C compiler puts them: each aligned, the whole padded to its alignment.
    static StructLayout struct(String name, MemoryLayout... fields) {
        List<MemoryLayout> padded = new ArrayList<>();
        long end = 0;
        long alignment = 1;
        for (MemoryLayout field : fields) {
            end += pad(padded, end, field.byteAlignment());
            padded.add(field);
            end += field.byteSize();
            alignment = Math.max(alignment, field.byteAlignment());
        }
        pad(padded, end, alignment);
        return MemoryLayout.structLayout(padded.toArray(MemoryLayout[]::new)).withName(name);
    }

    private static long pad(List<MemoryLayout> fields, long end, long alignment) {
        long gap = -end & (alignment - 1);
        if (gap != 0) {
            fields.add(MemoryLayout.paddingLayout(gap));
        }
        return gap;
    }

    /// Exact: a call whose types do not fit fails instead of boxing on every request.
    private static VarHandle exact(ValueLayout layout) {
        return layout.varHandle().withInvokeExactBehavior();
    }
}
