package org.splitring.ring;

/// The peer has put a value into shared memory that no honest peer can have put there.
///
/// The ring is not used any further: the device unmaps, goes to Closing and says so in one log
/// line, for which the ring's `toString` has the values. Thrown on data paths at a moment that the
/// peer chooses, so the instances are made in advance and carry no stack trace.
@SuppressWarnings("StaticAssignmentOfThrowable") // without a stack trace nothing is held
public final class RingBrokenException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    static final RingBrokenException REQ_PROD =
            new RingBrokenException("req_prod is not within the ring: impossible request count");

    static final RingBrokenException RSP_PROD =
            new RingBrokenException("rsp_prod answers more requests than are outstanding");

    private RingBrokenException(String message) {
        super(message, null, false, false);
    }
}
