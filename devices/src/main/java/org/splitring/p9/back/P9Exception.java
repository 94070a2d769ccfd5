package org.splitring.p9.back;

/// A request that is answered with an error: a result for the guest, not a failure of ours, so it
/// has no stack trace.
final class P9Exception extends Exception {
    private static final long serialVersionUID = 1L;
    private final int errno;

    P9Exception(int errno) {
        super("errno " + errno, null, false, false);
        this.errno = errno;
    }

    int errno() {
        return errno;
    }

    /// A result that is a descriptor or a count.
    ///
    /// @throws P9Exception when it is `-errno`
    static int check(int result) throws P9Exception {
        if (result < 0) {
            throw new P9Exception(-result);
        }
        return result;
    }
}
