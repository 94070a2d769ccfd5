package org.splitring.hypervisor;

/// An event channel operation was refused.
public final class EventChannelException extends Exception {
    private static final long serialVersionUID = 1L;
    private final int errno;

    /// @param errno positive errno: 28 ENOSPC at a limit, 22 EINVAL for a wrong port, 3 ESRCH for
    /// no such domain
    public EventChannelException(int errno, String message) {
        super(message);
        this.errno = errno;
    }

    public int errno() {
        return errno;
    }
}
