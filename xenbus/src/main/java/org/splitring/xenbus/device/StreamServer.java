package org.splitring.xenbus.device;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/// Serves one connection of a guest's user to a device's socket, on a virtual thread of its own.
@FunctionalInterface
public interface StreamServer {
    /// Serves until either side has nothing more to say; the connection is closed afterwards.
    ///
    /// @throws IOException when the user is gone, or the device
    /// @throws InterruptedException when the program ends its threads; the framework closes the
    ///     streams instead
    void serve(InputStream in, OutputStream out) throws IOException, InterruptedException;
}
