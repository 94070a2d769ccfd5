package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Makes a [CheckedRequest] of a slot's private copy. Nothing of a request is believed that has not
/// been through here, and nothing here looks at shared memory.
///
/// What is refused, and how:
///
/// | request | answer |
/// |---|---|
/// | READ or WRITE with 0 or more than 11 segments, FLUSH or BARRIER with more than 11 | ERROR |
/// | a segment whose last sector is before its first, or outside the page | ERROR |
/// | a range that is not wholly on the disk, also by wrapping at 2^64 | ERROR |
/// | WRITE, FLUSH or BARRIER with data, or DISCARD on a read-only disk | ERROR |
/// | DISCARD of no sector | ERROR |
/// | FLUSH, WRITE_BARRIER or DISCARD that is not announced; a secure DISCARD | EOPNOTSUPP |
/// | INDIRECT that is not announced; the reserved operation | EOPNOTSUPP |
/// | INDIRECT with another operation inside than READ and WRITE | ERROR |
/// | INDIRECT with 0 segments or more than announced; its page of them not granted | ERROR |
/// | any other operation | ERROR |
///
/// Source: Xen `public/io/blkif.h`.
final class RequestReader {
    private static final int SECTORS_PER_PAGE = 8;
    private static final long SEGMENT_SIZE = BlkifLayout.SEGMENT.byteSize();

    private final BlkifLayout layout;
    private final DiskImage disk;
    private final boolean readOnly;
    private final VbdFeatures features;

    /// @param layout of the frontend's machine
    /// @param features what was announced
    RequestReader(BlkifLayout layout, DiskImage disk, VbdFeatures features) {
        this.layout = layout;
        this.disk = disk;
        this.readOnly = disk.readOnly();
        this.features = features;
    }

    /// Reads and checks one request. The segments of an indirect one are in pages that have to be
    /// copied, and are checked by [#readIndirectSegments].
    ///
    /// @param slot private memory that holds a copy of the whole slot
    /// @param segments receives the segments; for at least eleven
    void read(MemorySegment slot, CheckedRequest into, SegmentList segments) {
        into.id = layout.id(slot, 0);
        into.operation = layout.operation(slot, 0);
        into.startSector = layout.sectorNumber(slot, 0);
        into.sectors = 0;
        into.segmentCount = 0;
        into.indirectPages = 0;
        into.status =
                switch (into.operation) {
                    case BlkifOp.READ -> readTransfer(slot, into, segments, false);
                    case BlkifOp.WRITE -> readTransfer(slot, into, segments, true);
                    case BlkifOp.FLUSH_DISKCACHE ->
                            readFlush(slot, into, segments, features.flush());
                    case BlkifOp.WRITE_BARRIER ->
                            readFlush(slot, into, segments, features.barrier());
                    case BlkifOp.DISCARD -> readDiscard(slot, into);
                    case BlkifOp.INDIRECT -> readIndirect(slot, into);
                    case BlkifOp.RESERVED_1 -> BlkifStatus.EOPNOTSUPP;
                    default -> BlkifStatus.ERROR;
                };
    }

    private int readFlush(
            MemorySegment slot, CheckedRequest into, SegmentList segments, boolean offered) {
        if (!offered) {
            return BlkifStatus.EOPNOTSUPP;
        }
        return layout.nrSegments(slot, 0) == 0
                ? BlkifStatus.OKAY
                : readTransfer(slot, into, segments, true);
    }

    private int readTransfer(
            MemorySegment slot, CheckedRequest into, SegmentList segments, boolean changesDisk) {
        if (changesDisk && readOnly) {
            return BlkifStatus.ERROR;
        }
        int count = layout.nrSegments(slot, 0);
        if (count == 0 || count > BlkifLayout.MAX_SEGMENTS_PER_REQUEST) {
            return BlkifStatus.ERROR;
        }
        into.segmentCount = count;
        return readSegments(slot, layout.segmentOffset(0, 0), into, segments);
    }

    private int readIndirect(MemorySegment slot, CheckedRequest into) {
        if (features.maxIndirectSegments() == 0) {
            return BlkifStatus.EOPNOTSUPP;
        }
        int operation = layout.indirectOp(slot, 0);
        if (operation != BlkifOp.READ && operation != BlkifOp.WRITE) {
            return BlkifStatus.ERROR; // no barrier, no discard, and not one more inside
        }
        into.operation = operation;
        int count = layout.indirectNrSegments(slot, 0);
        if (count == 0
                || count > features.maxIndirectSegments()
                || (operation == BlkifOp.WRITE && readOnly)) {
            return BlkifStatus.ERROR;
        }
        into.segmentCount = count;
        into.indirectPages =
                (count + BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE - 1)
                        / BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE;
        for (int i = 0; i < into.indirectPages; i++) {
            into.indirectGrefs[i] = layout.indirectGref(slot, 0, i);
        }
        return BlkifStatus.OKAY;
    }

    /// Reads and checks the segments of an indirect request.
    ///
    /// @param copy private memory that holds a copy of its pages, one after the other, as far as
    ///     there are segments
    /// @param segments receives them; for at least as many as the request has
    /// @return the status; the request may be done when it is okay
    int readIndirectSegments(MemorySegment copy, CheckedRequest into, SegmentList segments) {
        return readSegments(copy, 0, into, segments);
    }

    private int readSegments(
            MemorySegment from, long firstSegment, CheckedRequest into, SegmentList segments) {
        int count = into.segmentCount;
        into.segmentCount = 0; // until all are known to be good
        int sectors = 0;
        for (int i = 0; i < count; i++) {
            long segment = firstSegment + i * SEGMENT_SIZE;
            int first = BlkifLayout.firstSect(from, segment);
            int last = BlkifLayout.lastSect(from, segment);
            if (first > last || last >= SECTORS_PER_PAGE) {
                return BlkifStatus.ERROR;
            }
            segments.grefs[i] = BlkifLayout.gref(from, segment);
            segments.firstSects[i] = first;
            segments.sectorCounts[i] = last - first + 1;
            sectors += last - first + 1;
        }
        if (!isOnDisk(into.startSector, sectors, disk.sizeSectors())) {
            return BlkifStatus.ERROR;
        }
        into.segmentCount = count;
        into.sectors = sectors;
        return BlkifStatus.OKAY;
    }

    private int readDiscard(MemorySegment slot, CheckedRequest into) {
        if (readOnly) {
            return BlkifStatus.ERROR;
        }
        // Other bits of the flag mean nothing; a secure discard needs more than a hole.
        if (!features.discard() || (layout.discardFlag(slot, 0) & BlkifOp.DISCARD_SECURE) != 0) {
            return BlkifStatus.EOPNOTSUPP;
        }
        long sectors = layout.discardNrSectors(slot, 0);
        if (sectors == 0 || !isOnDisk(into.startSector, sectors, disk.sizeSectors())) {
            return BlkifStatus.ERROR;
        }
        into.sectors = sectors;
        return BlkifStatus.OKAY;
    }

    /// Whether a range lies wholly on a disk, whatever the numbers.
    ///
    /// @param startSector any 64 bits, unsigned
    /// @param sectors any 64 bits, unsigned
    /// @param sizeSectors not negative
    static boolean isOnDisk(long startSector, long sectors, long sizeSectors) {
        // No sum that could wrap: the last possible start is compared instead.
        return Long.compareUnsigned(sectors, sizeSectors) <= 0
                && Long.compareUnsigned(startSector, sizeSectors - sectors) <= 0;
    }
}
