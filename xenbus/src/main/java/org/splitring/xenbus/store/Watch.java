package org.splitring.xenbus.store;

/// A registered watch.
public interface Watch extends AutoCloseable {
    /// The path as it was given at registration.
    String path();

    /// Ends the watch. No call of the listener starts after this has returned on the thread that
    /// runs the listener; elsewhere one may be under way. Closing twice does nothing.
    @Override
    void close();
}
