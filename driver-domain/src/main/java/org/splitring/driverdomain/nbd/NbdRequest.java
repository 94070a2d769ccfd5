package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.Nullable;
import org.splitring.blkfront.Completion;

/// One request in flight: what the client asked, checked, and how far it has come. Reused.
final class NbdRequest implements Completion {
    /// How many large pieces one READ moves through.
    static final int WINDOW = 4;

    final NbdTransmission transmission;

    /// Counts the uses of this object.
    int serial;

    int type;
    boolean fua;
    long cookie;
    long offset;
    int length;

    /// First error, 0 while there is none.
    int error;

    /// Bytes of the request handed to the disk, and bytes received or sent.
    int issued;

    int moved;

    /// Operations of the disk that have not ended.
    int outstanding;

    /// Pieces of a READ in the order of their data; used as a ring.
    final @Nullable Piece[] window = new @Nullable Piece[WINDOW];

    int windowSize;
    int next;
    boolean answering;

    NbdRequest(NbdTransmission transmission) {
        this.transmission = transmission;
    }

    void reset() {
        serial++;
        fua = false;
        error = 0;
        issued = 0;
        moved = 0;
        outstanding = 0;
        windowSize = 0;
        next = 0;
        answering = false;
    }

    /// End of a flush.
    @Override
    public void done(int blkifStatus) {
        transmission.flushed(this, NbdProtocol.error(blkifStatus));
    }
}
