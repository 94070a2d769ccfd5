package org.splitring.blkfront;

import java.io.IOException;

/// A vbd cannot be connected. The message is one line for a person.
public final class VbdException extends IOException {
    private static final long serialVersionUID = 1L;

    public VbdException(String message) {
        super(message);
    }

    public VbdException(String message, Throwable cause) {
        super(message, cause);
    }
}
