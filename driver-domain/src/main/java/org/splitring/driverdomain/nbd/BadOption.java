package org.splitring.driverdomain.nbd;

import org.splitring.blkback.nbd.NbdProtocol;

/// An option that is answered with an error. Any client can cause it at any rate, so it carries no
/// stack.
final class BadOption extends Exception {
    private static final long serialVersionUID = 1;

    /// Type of the reply.
    final int reply;

    /// @param message for the client's user
    BadOption(int reply, String message) {
        super(message, null, false, false);
        this.reply = reply;
    }

    static BadOption invalid(String message) {
        return new BadOption(NbdProtocol.REP_ERR_INVALID, message);
    }

    String message() {
        return String.valueOf(getMessage());
    }
}
