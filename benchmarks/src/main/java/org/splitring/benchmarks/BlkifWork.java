package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Entries of 112 bytes: reads of one page, `struct blkif_request` of x86_64.
final class BlkifWork implements EntryWork {
    static final int ENTRY_SIZE = 112;
    static final int HANDLE = 51712;
    static final int FIRST_GREF = 8;

    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;
    private static final int RESPONSE_SIZE = (int) LAYOUT.response().byteSize();

    @Override
    public int entrySizeBytes() {
        return ENTRY_SIZE;
    }

    @Override
    public int responseSizeBytes() {
        return RESPONSE_SIZE;
    }

    @Override
    public void fill(MemorySegment ring, long slot, int id) {
        LAYOUT.writeRequest(ring, slot, BlkifOp.READ, 1, HANDLE, id, (long) id << 3);
        BlkifLayout.writeSegment(ring, LAYOUT.segmentOffset(slot, 0), FIRST_GREF + (id & 31), 0, 7);
    }

    @Override
    public void answer(MemorySegment request, MemorySegment ring, long slot) {
        int operation = LAYOUT.operation(request, 0);
        int nrSegments = LAYOUT.nrSegments(request, 0);
        int status = BlkifStatus.OKAY;
        if (operation > BlkifOp.WRITE
                || nrSegments == 0
                || nrSegments > BlkifLayout.MAX_SEGMENTS_PER_REQUEST
                || LAYOUT.handle(request, 0) != HANDLE
                || LAYOUT.sectorNumber(request, 0) >>> 40 != 0) {
            status = BlkifStatus.ERROR;
        } else {
            for (int i = 0; i < nrSegments; i++) {
                long segment = LAYOUT.segmentOffset(0, i);
                int lastSect = BlkifLayout.lastSect(request, segment);
                if (BlkifLayout.gref(request, segment) < FIRST_GREF
                        || BlkifLayout.firstSect(request, segment) > lastSect
                        || lastSect > 7) {
                    status = BlkifStatus.ERROR;
                }
            }
        }
        LAYOUT.writeResponse(ring, slot, LAYOUT.id(request, 0), operation, status);
    }

    @Override
    public boolean isAnswerTo(MemorySegment response, int id) {
        return LAYOUT.responseId(response, 0) == Integer.toUnsignedLong(id)
                && LAYOUT.responseOperation(response, 0) == BlkifOp.READ
                && LAYOUT.responseStatus(response, 0) == BlkifStatus.OKAY;
    }
}
