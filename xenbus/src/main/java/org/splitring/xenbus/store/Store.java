package org.splitring.xenbus.store;

import org.splitring.hypervisor.DomId;

/// One connection to the store, with the rights of one domain. Any thread.
///
/// Calls may wait for the store's answer, so not from a device loop: the control plane runs on
/// virtual threads. (A connection to a `StoreTree` of the same JVM never waits.)
public interface Store extends StoreAccess, AutoCloseable {
    /// Whose rights the connection has.
    DomId domain();

    /// Registers a watch on a node and everything below it. The listener is called once at
    /// registration.
    ///
    /// At most one event is pending for a watch and a path, and when very many paths change at once
    /// they are merged into one event on the watched path: a peer that writes in a loop costs no
    /// memory.
    ///
    /// @throws StoreException [StoreError#E2BIG] at the limit of watches, [StoreError#EINVAL] for a
    ///     bad path
    Watch watch(String path, WatchListener listener) throws StoreException;

    /// Runs `body` in a transaction: it sees one moment of the tree, and all its changes come into
    /// force together or not at all. When another domain changed what the body looked at, the whole
    /// body runs again.
    ///
    /// @throws StoreException what the body throws, after the transaction was dropped;
    ///     [StoreError#EAGAIN] when it conflicted too many times in a row
    void transaction(TransactionBody body) throws StoreException;

    /// Like [#transaction], with a result: that of the run that was committed.
    <T> T transactionReturning(TransactionFunction<T> body) throws StoreException;

    /// Says once when the connection ends other than by [#close]: calls fail with [StoreError#EIO]
    /// from then on, and each watch fires a last time, so that whoever waits looks and learns it.
    /// Called at once when that has happened already.
    void onLost(Runnable listener);

    /// Ends the connection: its watches end, open transactions are dropped.
    @Override
    void close();

    /// What is done in a transaction. May run several times.
    @FunctionalInterface
    interface TransactionBody {
        void run(StoreAccess transaction) throws StoreException;
    }

    /// What is done in a transaction that gives a result. May run several times.
    @FunctionalInterface
    interface TransactionFunction<T> {
        T apply(StoreAccess transaction) throws StoreException;
    }
}
