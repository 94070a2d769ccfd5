package org.splitring.wire;

/// Operations of a vbd: `BLKIF_OP_*` of Xen's `public/io/blkif.h`.
public final class BlkifOp {
    public static final int READ = 0;
    public static final int WRITE = 1;

    /// With `feature-barrier`: all earlier writes first, all later ones after.
    public static final int WRITE_BARRIER = 2;

    /// With `feature-flush-cache`: what was acknowledged becomes stable.
    public static final int FLUSH_DISKCACHE = 3;

    /// A vendor's packet command, never offered.
    public static final int RESERVED_1 = 4;

    /// With `feature-discard`: the sectors' contents are no longer needed.
    public static final int DISCARD = 5;

    /// With `feature-max-indirect-segments`: READ or WRITE whose segments are in other pages.
    public static final int INDIRECT = 6;

    /// `flag` of a discard: nothing may be left to find.
    public static final int DISCARD_SECURE = 1;

    private BlkifOp() {}
}
