package org.splitring.xenbus;

/// A key of the peer is missing or senseless. The message names path and value.
public final class KeyException extends HandshakeException {
    private static final long serialVersionUID = 1L;

    public KeyException(String message) {
        super(message);
    }
}
