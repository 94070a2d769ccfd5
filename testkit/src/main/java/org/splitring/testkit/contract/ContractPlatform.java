package org.splitring.testkit.contract;

/// Where a device is tested.
public enum ContractPlatform {
    /// Guest and driver domain in one JVM, with a guest's memory on its heap's side.
    LOCAL,
    /// Guest and driver domain attached over a Unix socket: shared memfd, eventfds, the store's
    /// wire. For kills they are processes of their own.
    ATTACHED
}
