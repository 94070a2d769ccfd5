package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
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

    /// Of WRITE_ZEROES: whether a hole will do, and whether nothing slow may be done.
    boolean mayPunch;

    boolean fastOnly;
    long cookie;
    long offset;
    int length;

    /// Bytes of a request without payload, which may be long; and how many of them
    /// have been worked on.
    long range;

    long rangeDone;

    /// First error, 0 while there is none.
    int error;

    /// Why it was not carried out.
    @Nullable Refusal refusal;

    /// Where in a READ the first error is, in bytes from its beginning; -1 when nowhere.
    int errorAt;

    /// Bytes of the request handed to the disk, and bytes received or sent.
    int issued;

    int moved;

    /// The answer to BLOCK_STATUS, made for the first one.
    private @Nullable AllocationMap map;

    /// Operations of the disk that have not ended.
    int outstanding;

    /// Pieces of a READ in the order of their data; used as a ring.
    final @Nullable Piece[] window = new @Nullable Piece[WINDOW];

    int windowSize;
    int next;

    /// What is sent in their place when the page cache has all of a READ.
    @Nullable CachedPart cached;

    /// Whether the answer has begun, and whether each piece of it is a reply chunk of its own.
    boolean answering;

    boolean fragmented;

    NbdRequest(NbdTransmission transmission) {
        this.transmission = transmission;
    }

    void reset() {
        serial++;
        fua = false;
        mayPunch = false;
        fastOnly = false;
        range = 0;
        rangeDone = 0;
        error = 0;
        refusal = null;
        errorAt = -1;
        issued = 0;
        moved = 0;
        outstanding = 0;
        windowSize = 0;
        cached = null;
        next = 0;
        answering = false;
        fragmented = false;
    }

    AllocationMap map() {
        AllocationMap made = map;
        if (made == null) {
            made = new AllocationMap();
            map = made;
        }
        return made;
    }

    /// End of a flush, a discard, or a question for the allocation.
    @Override
    public void done(int blkifStatus) {
        transmission.operationDone(this, Piece.error(blkifStatus));
    }
}
