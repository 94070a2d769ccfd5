package org.splitring.netback;

/// What a frontend put on the tx ring breaks the protocol in a way that Linux's netback takes for
/// malice: the vif is closed. Made beforehand and without a stack trace: a guest decides how often
/// it is thrown.
@SuppressWarnings("StaticAssignmentOfThrowable") // without a stack trace nothing is held
final class VifFatalException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    static final VifFatalException UNFINISHED =
            new VifFatalException("tx: a frame goes on beyond what is on the ring");
    static final VifFatalException TOO_MANY_SLOTS =
            new VifFatalException(
                    "tx: a frame of more than " + CheckedFrame.FATAL_SLOTS + " slots");
    static final VifFatalException CROSSES_PAGE =
            new VifFatalException("tx: a slot crosses the end of its page");
    static final VifFatalException MISSING_EXTRA =
            new VifFatalException("tx: an announced extra is missing");
    static final VifFatalException EXTRA_TYPE =
            new VifFatalException("tx: an extra of a type that does not exist");
    static final VifFatalException GSO_SIZE = new VifFatalException("tx: a GSO size of 0");
    static final VifFatalException GSO_TYPE =
            new VifFatalException("tx: a GSO type that does not exist");

    private VifFatalException(String message) {
        super(message, null, false, false);
    }
}
