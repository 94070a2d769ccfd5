package org.splitring.blkfront;

import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What a backend says about giving storage back.
///
/// @param granularityBytes unit of storage; parts of one may be kept as they are; 0 when discard is
///     not offered
/// @param alignmentBytes where on the disk the first unit begins
/// @param zeroes whether a discarded range reads as zeros, all of it; a promise that Xen's protocol
///     has no word for, so other backends do not give it
public record VbdDiscard(long granularityBytes, long alignmentBytes, boolean zeroes) {
    /// A disk without discard.
    public static final VbdDiscard NONE = new VbdDiscard(0, 0, false);

    private static final long U32 = 0xFFFF_FFFFL;

    public VbdDiscard {
        if (granularityBytes < 0 || alignmentBytes < 0) {
            throw new IllegalArgumentException(
                    "granularity " + granularityBytes + ", alignment " + alignmentBytes);
        }
    }

    public boolean isOffered() {
        return granularityBytes > 0;
    }

    static VbdDiscard read(Keys backend, long sectorSizeBytes)
            throws StoreException, HandshakeException {
        if (backend.number("feature-discard", 0, U32, 0) == 0) {
            return NONE;
        }
        long granularity = backend.number("discard-granularity", 0, U32, 0);
        return new VbdDiscard(
                granularity == 0 ? sectorSizeBytes : granularity,
                backend.number("discard-alignment", 0, U32, 0),
                backend.number("discard-zeroes", 0, 1, 0) == 1);
    }
}
