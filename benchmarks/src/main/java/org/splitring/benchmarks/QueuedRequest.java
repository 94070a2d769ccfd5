package org.splitring.benchmarks;

/// A request as an object, for the queue of references. Plain fields: the queue publishes them.
final class QueuedRequest {
    int operation;
    int nrSegments;
    int handle;
    long id;
    long sectorNumber;
    int gref;
    int firstSect;
    int lastSect;
    int offset;
    int flags;
    int size;

    void fillBlkif(int id) {
        operation = 0;
        nrSegments = 1;
        handle = BlkifWork.HANDLE;
        this.id = id;
        sectorNumber = (long) id << 3;
        gref = BlkifWork.FIRST_GREF + (id & 31);
        firstSect = 0;
        lastSect = 7;
    }

    void fillNetifTx(int id) {
        gref = NetifTxWork.FIRST_GREF + (id & 255);
        offset = NetifTxWork.OFFSET;
        flags = 0;
        this.id = (short) id;
        size = NetifTxWork.SIZE;
    }
}
