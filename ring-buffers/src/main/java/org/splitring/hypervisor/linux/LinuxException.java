package org.splitring.hypervisor.linux;

import java.io.IOException;

/// A system call failed.
public final class LinuxException extends IOException {
    private static final long serialVersionUID = 1L;
    private final int errno;

    /// @param what the call and its object, for example `open /tmp/disk.img`
    /// @param errno positive
    public LinuxException(String what, int errno) {
        super(what + ": " + Errno.describe(errno));
        this.errno = errno;
    }

    /// One of [Errno].
    public int errno() {
        return errno;
    }
}
