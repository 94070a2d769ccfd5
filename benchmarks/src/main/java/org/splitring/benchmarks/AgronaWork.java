package org.splitring.benchmarks;

import org.agrona.DirectBuffer;
import org.agrona.MutableDirectBuffer;

/// What is done to each entry, through Agrona's buffers: the same fields and checks as
/// [BlkifWork] and [NetifTxWork]. All machines that run this are little-endian, as the entries.
final class AgronaWork {
    private final boolean blkif;

    AgronaWork(int entrySizeBytes) {
        blkif = entrySizeBytes == BlkifWork.ENTRY_SIZE;
    }

    int entrySizeBytes() {
        return blkif ? BlkifWork.ENTRY_SIZE : NetifTxWork.ENTRY_SIZE;
    }

    int responseSizeBytes() {
        return blkif ? BlkifWork.RESPONSE_SIZE : NetifTxWork.RESPONSE_SIZE;
    }

    int capacity() {
        return blkif ? 32 : 256;
    }

    void fill(MutableDirectBuffer buffer, int at, int id) {
        if (blkif) {
            buffer.putByte(at, (byte) 0);
            buffer.putByte(at + 1, (byte) 1);
            buffer.putShort(at + 2, (short) BlkifWork.HANDLE);
            buffer.putLong(at + 8, id);
            buffer.putLong(at + 16, (long) id << 3);
            buffer.putInt(at + 24, BlkifWork.FIRST_GREF + (id & 31));
            buffer.putByte(at + 28, (byte) 0);
            buffer.putByte(at + 29, (byte) 7);
        } else {
            buffer.putInt(at, NetifTxWork.FIRST_GREF + (id & 255));
            buffer.putShort(at + 4, (short) NetifTxWork.OFFSET);
            buffer.putShort(at + 6, (short) 0);
            buffer.putShort(at + 8, (short) id);
            buffer.putShort(at + 10, (short) NetifTxWork.SIZE);
        }
    }

    void answer(DirectBuffer request, MutableDirectBuffer buffer, int at) {
        if (blkif) {
            int operation = Byte.toUnsignedInt(request.getByte(0));
            int nrSegments = Byte.toUnsignedInt(request.getByte(1));
            boolean good =
                    operation <= 1
                            && nrSegments != 0
                            && nrSegments <= 11
                            && Short.toUnsignedInt(request.getShort(2)) == BlkifWork.HANDLE
                            && request.getLong(16) >>> 40 == 0;
            for (int i = 0; good && i < nrSegments; i++) {
                int segment = 24 + 8 * i;
                int lastSect = Byte.toUnsignedInt(request.getByte(segment + 5));
                good =
                        request.getInt(segment) >= BlkifWork.FIRST_GREF
                                && Byte.toUnsignedInt(request.getByte(segment + 4)) <= lastSect
                                && lastSect <= 7;
            }
            buffer.putLong(at, request.getLong(8));
            buffer.putByte(at + 8, (byte) operation);
            buffer.putShort(at + 10, (short) (good ? 0 : -1));
        } else {
            int offset = Short.toUnsignedInt(request.getShort(4));
            int size = Short.toUnsignedInt(request.getShort(10));
            boolean good =
                    request.getInt(0) >= NetifTxWork.FIRST_GREF
                            && request.getShort(6) == 0
                            && size >= 14
                            && offset + size <= 4096;
            buffer.putShort(at, request.getShort(8));
            buffer.putShort(at + 2, (short) (good ? NetifTxWork.OKAY : NetifTxWork.ERROR));
        }
    }

    boolean isAnswerTo(DirectBuffer response, int id) {
        return blkif
                ? response.getLong(0) == id
                        && response.getByte(8) == 0
                        && response.getShort(10) == 0
                : response.getShort(0) == (short) id && response.getShort(2) == NetifTxWork.OKAY;
    }
}
