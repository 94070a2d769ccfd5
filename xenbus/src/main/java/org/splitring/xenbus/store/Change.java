package org.splitring.xenbus.store;

import java.util.List;
import org.splitring.hypervisor.DomId;

/// One change that was checked already: what a transaction keeps to apply at its commit.
sealed interface Change {
    StorePath path();

    /// Sets the value; makes missing nodes, with `maker` as owner unless that is domain 0.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Write(StorePath path, byte[] value, DomId maker) implements Change {}

    /// Makes missing nodes; leaves an existing one alone.
    record Make(StorePath path, DomId maker) implements Change {}

    record Remove(StorePath path) implements Change {}

    record SetPermissions(StorePath path, List<Permission> permissions) implements Change {}
}
