package org.splitring.xenbus.store;

/// The store refused an operation, or the connection to it is gone ([StoreError#EIO]).
public final class StoreException extends Exception {
    private static final long serialVersionUID = 1L;
    private final StoreError error;

    /// @param what the operation with its values, for the message
    public StoreException(StoreError error, String what) {
        super(error + ": " + what);
        this.error = error;
    }

    public StoreError error() {
        return error;
    }
}
