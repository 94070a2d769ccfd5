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
    private static final long OPERATION = offset(REQUEST, "operation");
    private static final long NR_SEGMENTS = offset(REQUEST, "nr_segments");
    private static final long REQUEST_HANDLE = offset(REQUEST, "handle");
    private static final long ID = offset(REQUEST, "id");
    private static final long SECTOR_NUMBER = offset(REQUEST, "sector_number");
    private static final long SEG = offset(REQUEST, "seg");
    private static final long SEG_SIZE = BlkifLayout.SEGMENT.byteSize();
    private static final long GREF = offset(BlkifLayout.SEGMENT, "gref");
    private static final long FIRST_SECT = offset(BlkifLayout.SEGMENT, "first_sect");
    private static final long LAST_SECT = offset(BlkifLayout.SEGMENT, "last_sect");
    private static final long RESPONSE_ID = offset(RESPONSE, "id");
    private static final long RESPONSE_OPERATION = offset(RESPONSE, "operation");
    private static final long RESPONSE_STATUS = offset(RESPONSE, "status");

    @Override
    public int entrySizeBytes() {
        return ENTRY_SIZE;
    }

    @Override
    public void fill(MemorySegment ring, long slot, int id) {
        BYTE.set(ring, slot + OPERATION, (byte) BlkifOp.READ);
        BYTE.set(ring, slot + NR_SEGMENTS, (byte) 1);
        SHORT.set(ring, slot + REQUEST_HANDLE, (short) HANDLE);
        LONG.set(ring, slot + ID, Integer.toUnsignedLong(id));
        LONG.set(ring, slot + SECTOR_NUMBER, Integer.toUnsignedLong(id) << 3);
        INT.set(ring, slot + SEG + GREF, FIRST_GREF + (id & 31));
        BYTE.set(ring, slot + SEG + FIRST_SECT, (byte) 0);
        BYTE.set(ring, slot + SEG + LAST_SECT, (byte) 7);
    }

    @Override
    public void answer(MemorySegment ring, long requestSlot, long responseSlot) {
        int operation = Byte.toUnsignedInt((byte) BYTE.get(ring, requestSlot + OPERATION));
        int nrSegments = Byte.toUnsignedInt((byte) BYTE.get(ring, requestSlot + NR_SEGMENTS));
        int handle = Short.toUnsignedInt((short) SHORT.get(ring, requestSlot + REQUEST_HANDLE));
        long id = (long) LONG.get(ring, requestSlot + ID);
        long sectorNumber = (long) LONG.get(ring, requestSlot + SECTOR_NUMBER);
        int status = BlkifStatus.OKAY;
        if (operation > BlkifOp.WRITE
                || nrSegments == 0
                || nrSegments > BlkifLayout.MAX_SEGMENTS_PER_REQUEST
                || handle != HANDLE
                || sectorNumber >>> 40 != 0) {
            status = BlkifStatus.ERROR;
        } else {
            for (int i = 0; i < nrSegments; i++) {
                long segment = requestSlot + SEG + i * SEG_SIZE;
                int gref = (int) INT.get(ring, segment + GREF);
                int firstSect = Byte.toUnsignedInt((byte) BYTE.get(ring, segment + FIRST_SECT));
                int lastSect = Byte.toUnsignedInt((byte) BYTE.get(ring, segment + LAST_SECT));
                if (gref < FIRST_GREF || firstSect > lastSect || lastSect > 7) {
                    status = BlkifStatus.ERROR;
                }
            }
        }
        LONG.set(ring, responseSlot + RESPONSE_ID, id);
        BYTE.set(ring, responseSlot + RESPONSE_OPERATION, (byte) operation);
        SHORT.set(ring, responseSlot + RESPONSE_STATUS, (short) status);
    }

    @Override
    public boolean isAnswerTo(MemorySegment ring, long slot, int id) {
        return (long) LONG.get(ring, slot + RESPONSE_ID) == Integer.toUnsignedLong(id)
                && (byte) BYTE.get(ring, slot + RESPONSE_OPERATION) == BlkifOp.READ
                && (short) SHORT.get(ring, slot + RESPONSE_STATUS) == BlkifStatus.OKAY;
    }

    private static long offset(StructLayout struct, String field) {
        return struct.byteOffset(PathElement.groupElement(field));
    }

    private static VarHandle exact(ValueLayout layout) {
        return layout.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle().withInvokeExactBehavior();
    }
}
