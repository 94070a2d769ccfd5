package org.splitring.benchmarks;

/// A response as an object, for the queue of references.
final class QueuedResponse {
    long id;
    int operation;
    int status;

    void answerBlkif(QueuedRequest request) {
        int operation = request.operation;
        int nrSegments = request.nrSegments;
        int lastSect = request.lastSect;
        boolean good =
                operation <= 1
                        && nrSegments != 0
                        && nrSegments <= 11
                        && request.handle == BlkifWork.HANDLE
                        && request.sectorNumber >>> 40 == 0
                        && request.gref >= BlkifWork.FIRST_GREF
                        && request.firstSect <= lastSect
                        && lastSect <= 7;
        id = request.id;
        this.operation = operation;
        status = good ? 0 : -1;
    }

    void answerNetifTx(QueuedRequest request) {
        int size = request.size;
        boolean good =
                request.gref >= NetifTxWork.FIRST_GREF
                        && request.flags == 0
                        && size >= 14
                        && request.offset + size <= 4096;
        id = request.id;
        status = good ? NetifTxWork.OKAY : NetifTxWork.ERROR;
    }
}
