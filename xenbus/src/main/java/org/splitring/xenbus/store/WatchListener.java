package org.splitring.xenbus.store;

/// Hears that something under a watched path may have changed.
@FunctionalInterface
public interface WatchListener {
    /// Called on the executor of the connection, one call at a time for each watch. Events say
    /// where to look, not what happened: they are merged, may come without a change, and the node
    /// may be gone again.
    ///
    /// @param path the node that changed; the watched path itself at registration and when too many
    ///     events came together
    void changed(String path);
}
