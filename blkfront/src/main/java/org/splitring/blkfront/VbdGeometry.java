package org.splitring.blkfront;

import org.splitring.wire.BlkifInfo;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What the backend says about the disk.
///
/// @param sizeBytes its size
/// @param sectorSizeBytes logical block size; the ring counts in 512 bytes all the same
/// @param readOnly whether writes are refused
/// @param removable whether the medium could be taken out
/// @param cdrom whether it is to be seen as a CD-ROM
/// @param flush whether the backend offers a way to make written data stable; without it an
///     acknowledged write is as safe as it gets
/// @param flushByBarrier whether that way is an empty barrier, because flush itself is not
///     offered
/// @param maxRequestPages how many pages of 4096 bytes one request of the ring may have; a
///     transfer that is longer is several requests
/// @param discard whether and how storage can be given back
public record VbdGeometry(
        long sizeBytes,
        int sectorSizeBytes,
        boolean readOnly,
        boolean removable,
        boolean cdrom,
        boolean flush,
        boolean flushByBarrier,
        int maxRequestPages,
        VbdDiscard discard) {
    private static final long U32 = 0xFFFF_FFFFL;

    /// 1 MiB, what Linux's backend offers; more is not asked for.
    static final int MAX_INDIRECT_SEGMENTS = 256;

    public VbdGeometry {
        if (sizeBytes <= 0 || sectorSizeBytes < 512 || sizeBytes % sectorSizeBytes != 0) {
            throw new IllegalArgumentException(
                    "size " + sizeBytes + " with sectors of " + sectorSizeBytes);
        }
    }

    private static int maxRequestPages(Keys backend) throws StoreException, HandshakeException {
        long indirect = backend.number("feature-max-indirect-segments", 0, U32, 0);
        return Math.clamp(indirect, BlkifLayout.MAX_SEGMENTS_PER_REQUEST, MAX_INDIRECT_SEGMENTS);
    }

    /// Reads what a connected backend has written.
    static VbdGeometry read(Keys backend) throws StoreException, HandshakeException {
        long sectors = backend.number("sectors", 1, Long.MAX_VALUE / 512);
        long sectorSize = backend.number("sector-size", 512, 1 << 20);
        long info = backend.number("info", 0, U32, 0);
        if (Long.bitCount(sectorSize) != 1 || sectors * 512 % sectorSize != 0) {
            throw new HandshakeException(
                    "a disk of " + sectors + " sectors, block size " + sectorSize);
        }
        boolean flush = backend.number("feature-flush-cache", 0, U32, 0) != 0;
        boolean barrier = backend.number("feature-barrier", 0, U32, 0) != 0;
        return new VbdGeometry(
                sectors * 512,
                (int) sectorSize,
                (info & BlkifInfo.READONLY) != 0,
                (info & BlkifInfo.REMOVABLE) != 0,
                (info & BlkifInfo.CDROM) != 0,
                flush || barrier,
                !flush && barrier,
                maxRequestPages(backend),
                VbdDiscard.read(backend, sectorSize));
    }
}
