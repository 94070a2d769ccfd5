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
/// | READ or WRITE with 0 or more than 11 segments | ERROR |
/// | a segment whose last sector is before its first, or outside the page | ERROR |
/// | a range that is not wholly on the disk, also by wrapping at 2^64 | ERROR |
/// | WRITE, or FLUSH with data, on a read-only disk | ERROR |
/// | WRITE_BARRIER, DISCARD, INDIRECT, the reserved operation: not announced | EOPNOTSUPP |
/// | any other operation | ERROR |
///
/// Source: Xen `public/io/blkif.h`.
final class RequestReader {
    private static final int SECTORS_PER_PAGE = 8;

    private final BlkifLayout layout;
    private final long sizeSectors;
    private final boolean readOnly;

    /// @param layout of the frontend's machine
    /// @param sizeSectors size of the disk
    RequestReader(BlkifLayout layout, long sizeSectors, boolean readOnly) {
        this.layout = layout;
        this.sizeSectors = sizeSectors;
        this.readOnly = readOnly;
    }

    /// Reads and checks one request.
    ///
    /// @param slot private memory that holds a copy of the whole slot
    void read(MemorySegment slot, CheckedRequest into) {
        into.id = layout.id(slot, 0);
        into.operation = layout.operation(slot, 0);
        into.startSector = layout.sectorNumber(slot, 0);
        into.sectors = 0;
        into.segmentCount = 0;
        into.status =
                switch (into.operation) {
                    case BlkifOp.READ -> readTransfer(slot, into, false);
                    case BlkifOp.WRITE -> readTransfer(slot, into, true);
                    case BlkifOp.FLUSH_DISKCACHE ->
                            layout.nrSegments(slot, 0) == 0
                                    ? BlkifStatus.OKAY
                                    : readTransfer(slot, into, true);
                    case BlkifOp.WRITE_BARRIER,
                            BlkifOp.RESERVED_1,
                            BlkifOp.DISCARD,
                            BlkifOp.INDIRECT ->
                            BlkifStatus.EOPNOTSUPP;
                    default -> BlkifStatus.ERROR;
                };
    }

    private int readTransfer(MemorySegment slot, CheckedRequest into, boolean changesDisk) {
        if (changesDisk && readOnly) {
            return BlkifStatus.ERROR;
        }
        int count = layout.nrSegments(slot, 0);
        if (count == 0 || count > BlkifLayout.MAX_SEGMENTS_PER_REQUEST) {
            return BlkifStatus.ERROR;
        }
        int sectors = 0;
        for (int i = 0; i < count; i++) {
            long segment = layout.segmentOffset(0, i);
            int first = BlkifLayout.firstSect(slot, segment);
            int last = BlkifLayout.lastSect(slot, segment);
            if (first > last || last >= SECTORS_PER_PAGE) {
                return BlkifStatus.ERROR;
            }
            into.grefs[i] = BlkifLayout.gref(slot, segment);
            into.firstSects[i] = first;
            into.sectorCounts[i] = last - first + 1;
            sectors += last - first + 1;
        }
        if (!isOnDisk(into.startSector, sectors, sizeSectors)) {
            return BlkifStatus.ERROR;
        }
        into.segmentCount = count;
        into.sectors = sectors;
        return BlkifStatus.OKAY;
    }

    /// Whether a range lies wholly on a disk, whatever the numbers.
    ///
    /// @param startSector any 64 bits, unsigned
    /// @param sectors not negative
    /// @param sizeSectors not negative
    static boolean isOnDisk(long startSector, long sectors, long sizeSectors) {
        // No sum that could wrap: the last possible start is compared instead.
        return sectors <= sizeSectors
                && Long.compareUnsigned(startSector, sizeSectors - sectors) <= 0;
    }
}
