package org.splitring.blkback;

/// Optional parts of the protocol that a backend announces. A request of one that is not announced
/// is answered `BLKIF_RSP_EOPNOTSUPP`.
///
/// @param discard on disks that can give storage back and may be written
public record VbdFeatures(boolean discard) {
    /// Everything that this backend can do.
    public static final VbdFeatures ALL = new VbdFeatures(true);

    /// Reads, writes and flushes only.
    public static final VbdFeatures NONE = new VbdFeatures(false);

    public VbdFeatures withDiscard(boolean offered) {
        return new VbdFeatures(offered);
    }
}
