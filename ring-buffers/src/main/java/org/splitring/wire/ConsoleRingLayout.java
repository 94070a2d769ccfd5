package org.splitring.wire;

import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;

/// The console page: what is typed goes in, what is printed comes out, as the guest sees it.
///
///     byte  0         1024       3072      3076      3080      3084      3088
///           +---------+----------+---------+---------+---------+---------+
///           | in      | out      | in_cons | in_prod | out_cons| out_prod|
///           +---------+----------+---------+---------+---------+---------+
///     writer  backend   frontend   frontend  backend   backend   frontend
///
/// Size 3088, in a page of its own. Indices are little-endian u32, free-running; a byte of `in` is
/// at `index & 1023`, one of `out` at `index & 2047`. The page starts as zeroes.
///
/// Source: Xen `public/io/console.h`, `struct xencons_interface`.
public final class ConsoleRingLayout {
    public static final int IN_SIZE_BYTES = 1024;
    public static final int OUT_SIZE_BYTES = 2048;

    public static final StructLayout PAGE =
            struct(
                    "xencons_interface",
                    MemoryLayout.sequenceLayout(IN_SIZE_BYTES, U8).withName("in"),
                    MemoryLayout.sequenceLayout(OUT_SIZE_BYTES, U8).withName("out"),
                    U32.withName("in_cons"),
                    U32.withName("in_prod"),
                    U32.withName("out_cons"),
                    U32.withName("out_prod"));

    public static final long IN = offset(PAGE, "in");
    public static final long OUT = offset(PAGE, "out");
    public static final long IN_CONS = offset(PAGE, "in_cons");
    public static final long IN_PROD = offset(PAGE, "in_prod");
    public static final long OUT_CONS = offset(PAGE, "out_cons");
    public static final long OUT_PROD = offset(PAGE, "out_prod");

    private ConsoleRingLayout() {}
}
