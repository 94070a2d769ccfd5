package org.splitring.blkback;

/// Optional parts of the protocol that a backend announces. A request of one that is not announced
/// is answered `BLKIF_RSP_EOPNOTSUPP`.
///
/// @param flush whether written data can be made stable
/// @param barrier writes that all earlier ones precede and all later ones follow
/// @param discard on disks that can give storage back and may be written
public record VbdFeatures(boolean flush, boolean barrier, boolean discard) {
    /// Everything that this backend can do.
    public static final VbdFeatures ALL = new VbdFeatures(true, true, true);

    /// Reads and writes only.
    public static final VbdFeatures NONE = new VbdFeatures(false, false, false);

    public VbdFeatures withFlush(boolean offered) {
        return new VbdFeatures(offered, barrier, discard);
    }

    public VbdFeatures withBarrier(boolean offered) {
        return new VbdFeatures(flush, offered, discard);
    }

    public VbdFeatures withDiscard(boolean offered) {
        return new VbdFeatures(flush, barrier, offered);
    }
}
