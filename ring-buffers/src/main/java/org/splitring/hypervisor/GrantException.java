package org.splitring.hypervisor;

/// A grant operation of the control plane was refused. Data paths use status values instead.
public final class GrantException extends Exception {
    private static final long serialVersionUID = 1L;
    private final int status;

    /// @param status a negative `GNTST_` value of [GrantStatus]
    public GrantException(int status, String message) {
        super(message + " (" + GrantStatus.name(status) + ")");
        this.status = status;
    }

    /// A negative `GNTST_` value.
    public int status() {
        return status;
    }
}
