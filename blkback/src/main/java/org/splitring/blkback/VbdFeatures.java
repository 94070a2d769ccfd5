package org.splitring.blkback;

import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// Optional parts of the protocol that a backend announces. A request of one that is not announced
/// is answered `BLKIF_RSP_EOPNOTSUPP`.
///
/// @param flush whether written data can be made stable
/// @param barrier writes that all earlier ones precede and all later ones follow
/// @param discard on disks that can give storage back and may be written
/// @param maxIndirectSegments pages that an indirect request may have, 12 to 512; 0 when there
///     are no indirect requests
/// @param maxQueues rings that one vbd may have, 1 to 16
/// @param maxPersistentGrants grants that each ring keeps mapped between requests; 0 when none are
public record VbdFeatures(
        boolean flush,
        boolean barrier,
        boolean discard,
        int maxIndirectSegments,
        int maxQueues,
        int maxPersistentGrants) {
    /// Everything that this backend can do; indirect requests of up to 1 MiB and 1056 persistent
    /// grants for each of four rings, as Linux's.
    public static final VbdFeatures ALL = new VbdFeatures(true, true, true, 256, 4, 1056);

    /// Reads and writes only.
    public static final VbdFeatures NONE = new VbdFeatures(false, false, false, 0, 1, 0);

    private static final int MAX_QUEUES = 16;

    public VbdFeatures {
        if (maxIndirectSegments != 0
                && (maxIndirectSegments <= BlkifLayout.MAX_SEGMENTS_PER_REQUEST
                        || maxIndirectSegments > BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE)) {
            throw new IllegalArgumentException("maxIndirectSegments: " + maxIndirectSegments);
        }
        if (maxQueues < 1 || maxQueues > MAX_QUEUES) {
            throw new IllegalArgumentException("maxQueues: " + maxQueues);
        }
        if (maxPersistentGrants < 0 || maxPersistentGrants > 1 << 16) {
            throw new IllegalArgumentException("maxPersistentGrants: " + maxPersistentGrants);
        }
    }

    /// What stands in a backend's folder: what was offered to the guest that is there. How many
    /// grants are kept does not stand there, and is for each backend to choose.
    static VbdFeatures read(Keys own) throws StoreException, KeyException {
        int indirect =
                (int)
                        own.number(
                                "feature-max-indirect-segments",
                                BlkifLayout.MAX_SEGMENTS_PER_REQUEST + 1,
                                BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE,
                                0);
        return new VbdFeatures(
                own.flag("feature-flush-cache"),
                own.flag("feature-barrier"),
                own.flag("feature-discard"),
                indirect,
                (int) own.number("multi-queue-max-queues", 1, MAX_QUEUES, 1),
                own.flag("feature-persistent") ? ALL.maxPersistentGrants : 0);
    }

    public VbdFeatures withFlush(boolean offered) {
        return new VbdFeatures(
                offered, barrier, discard, maxIndirectSegments, maxQueues, maxPersistentGrants);
    }

    public VbdFeatures withBarrier(boolean offered) {
        return new VbdFeatures(
                flush, offered, discard, maxIndirectSegments, maxQueues, maxPersistentGrants);
    }

    public VbdFeatures withDiscard(boolean offered) {
        return new VbdFeatures(
                flush, barrier, offered, maxIndirectSegments, maxQueues, maxPersistentGrants);
    }

    public VbdFeatures withMaxIndirectSegments(int segments) {
        return new VbdFeatures(flush, barrier, discard, segments, maxQueues, maxPersistentGrants);
    }

    public VbdFeatures withMaxPersistentGrants(int grants) {
        return new VbdFeatures(flush, barrier, discard, maxIndirectSegments, maxQueues, grants);
    }

    public VbdFeatures withMaxQueues(int queues) {
        return new VbdFeatures(
                flush, barrier, discard, maxIndirectSegments, queues, maxPersistentGrants);
    }
}
