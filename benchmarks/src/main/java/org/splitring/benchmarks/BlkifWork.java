package org.splitring.benchmarks;

import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Entries of 112 bytes: reads of one page, `struct blkif_request` of x86_64.
///
/// The offsets are those of [BlkifLayout#X86_64] as constants, which the JIT folds, as the C
/// compiler does; a driver that serves several ABIs adds one load per field.
final class BlkifWork implements EntryWork {
    static final int ENTRY_SIZE = 112;
    static final int RESPONSE_SIZE = 16;
    static final int HANDLE = 51712;
    static final int FIRST_GREF = 8;

    private static final VarHandle BYTE = exact(ValueLayout.JAVA_BYTE);
    private static final VarHandle SHORT = exact(ValueLayout.JAVA_SHORT_UNALIGNED);
    private static final VarHandle INT = exact(ValueLayout.JAVA_INT_UNALIGNED);
    private static final VarHandle LONG = exact(ValueLayout.JAVA_LONG_UNALIGNED);

    private static final StructLayout REQUEST = BlkifLayout.X86_64.request();
    private static final StructLayout RESPONSE = BlkifLayout.X86_64.response();
    /// `operation` (bits 0 to 7), `nr_segments` (8 to 15) and `handle` (16 to 31).
    private static final long HEAD = offset(REQUEST, "operation");
    private static final long ID = offset(REQUEST, "id");
    private static final long SECTOR_NUMBER = offset(REQUEST, "sector_number");

    /// A segment is `gref` (bits 0 to 31), `first_sect` (32 to 39) and `last_sect` (40 to 47).
    private static final long SEG = offset(REQUEST, "seg");
    private static final long SEG_SIZE = BlkifLayout.SEGMENT.byteSize();
    private static final long RESPONSE_ID = offset(RESPONSE, "id");
    private static final long RESPONSE_OPERATION = offset(RESPONSE, "operation");
    private static final long RESPONSE_STATUS = offset(RESPONSE, "status");

    @Override
    public int entrySizeBytes() {
        return ENTRY_SIZE;
    }

    @Override
    public void fill(MemorySegment ring, long at, int id, int count) {
        fill(ring, at, id);
        for (int i = 1; i < count; i++) {
            fill(ring, at + (long) i * ENTRY_SIZE, id + i);
        }
    }

    private static void fill(MemorySegment ring, long at, int id) {
        INT.set(ring, at + HEAD, BlkifOp.READ | (1 << 8) | (HANDLE << 16));
        LONG.set(ring, at + ID, Integer.toUnsignedLong(id));
        LONG.set(ring, at + SECTOR_NUMBER, Integer.toUnsignedLong(id) << 3);
        LONG.set(ring, at + SEG, (FIRST_GREF + (id & 31)) | 7L << 40);
    }

    @Override
    public void answer(MemorySegment ring, long requestAt, long responseAt, int count) {
        answer(ring, requestAt, responseAt);
        for (int i = 1; i < count; i++) {
            answer(ring, requestAt + (long) i * ENTRY_SIZE, responseAt + (long) i * ENTRY_SIZE);
        }
    }

    private static void answer(MemorySegment ring, long requestAt, long responseAt) {
        int head = (int) INT.get(ring, requestAt + HEAD);
        long id = (long) LONG.get(ring, requestAt + ID);
        long sectorNumber = (long) LONG.get(ring, requestAt + SECTOR_NUMBER);
        int operation = head & 0xFF;
        int nrSegments = head >>> 8 & 0xFF;
        int status = BlkifStatus.OKAY;
        if (operation > BlkifOp.WRITE
                || nrSegments == 0
                || nrSegments > BlkifLayout.MAX_SEGMENTS_PER_REQUEST
                || head >>> 16 != HANDLE
                || sectorNumber >>> 40 != 0) {
            status = BlkifStatus.ERROR;
        } else {
            for (int i = 0; i < nrSegments; i++) {
                long segment = (long) LONG.get(ring, requestAt + SEG + i * SEG_SIZE);
                int firstSect = (int) (segment >>> 32) & 0xFF;
                int lastSect = (int) (segment >>> 40) & 0xFF;
                if ((int) segment < FIRST_GREF || firstSect > lastSect || lastSect > 7) {
                    status = BlkifStatus.ERROR;
                }
            }
        }
        LONG.set(ring, responseAt + RESPONSE_ID, id);
        BYTE.set(ring, responseAt + RESPONSE_OPERATION, (byte) operation);
        SHORT.set(ring, responseAt + RESPONSE_STATUS, (short) status);
    }

    @Override
    public boolean areAnswersTo(MemorySegment ring, long at, int id, int count) {
        if (!isAnswerTo(ring, at, id)) {
            return false;
        }
        for (int i = 1; i < count; i++) {
            if (!isAnswerTo(ring, at + (long) i * ENTRY_SIZE, id + i)) {
                return false;
            }
        }
        return true;
    }

    private static boolean isAnswerTo(MemorySegment ring, long at, int id) {
        int tail = (int) INT.get(ring, at + RESPONSE_OPERATION);
        return (long) LONG.get(ring, at + RESPONSE_ID) == Integer.toUnsignedLong(id)
                && (tail & 0xFF) == BlkifOp.READ
                && tail >> 16 == BlkifStatus.OKAY;
    }

    private static long offset(StructLayout struct, String field) {
        return struct.byteOffset(PathElement.groupElement(field));
    }

    private static VarHandle exact(ValueLayout layout) {
        return layout.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle().withInvokeExactBehavior();
    }
}
