package org.splitring.netfront;

/// What a backend put on a ring breaks the protocol. Made beforehand and without a stack trace.
@SuppressWarnings("StaticAssignmentOfThrowable") // without a stack trace nothing is held
final class VifBrokenException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    static final VifBrokenException TX_ID =
            new VifBrokenException("tx: a response with an id that is not outstanding");

    static final VifBrokenException CONTROL_ID =
            new VifBrokenException("control: a response to what was not asked");

    private VifBrokenException(String message) {
        super(message, null, false, false);
    }
}
