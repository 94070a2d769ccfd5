package org.splitring.xenbus;

/// Two ends of a device did not come together. The message names the side, the path and what was
/// waited for.
public class HandshakeException extends Exception {
    private static final long serialVersionUID = 1L;

    public HandshakeException(String message) {
        super(message);
    }

    public HandshakeException(String message, Throwable cause) {
        super(message, cause);
    }
}
