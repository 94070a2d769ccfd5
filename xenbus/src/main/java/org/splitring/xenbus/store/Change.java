package org.splitring.xenbus.store;

import java.util.List;

/// One change that was checked already: what a transaction keeps to apply at its commit.
sealed interface Change {
    StorePath path();

    /// Sets the value; makes missing nodes, which belong to whoever makes the draft unless
    /// that is domain 0.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Write(StorePath path, byte[] value) implements Change {}

    /// Makes missing nodes; leaves an existing one alone.
    record Make(StorePath path) implements Change {}

    record Remove(StorePath path) implements Change {}

    record SetPermissions(StorePath path, List<Permission> permissions) implements Change {}
}
