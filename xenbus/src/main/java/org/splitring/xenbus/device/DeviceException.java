package org.splitring.xenbus.device;

import org.splitring.xenbus.HandshakeException;

/// A device cannot be made or cannot go on. The message says why, for its error node and for
/// people.
public final class DeviceException extends HandshakeException {
    private static final long serialVersionUID = 1L;

    public DeviceException(String message) {
        super(message);
    }

    public DeviceException(String message, Throwable cause) {
        super(message, cause);
    }
}
