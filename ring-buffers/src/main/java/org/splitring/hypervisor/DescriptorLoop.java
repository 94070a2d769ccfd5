package org.splitring.hypervisor;

/// A device loop that waits for descriptors of its users, too.
public interface DescriptorLoop extends DeviceLoop {
    /// Waiting for one descriptor, until it is stopped.
    interface Waiting {
        /// Ends waiting. Any thread.
        ///
        /// @param afterwards runs on the loop, when the number of the descriptor may be given back
        void stop(Runnable afterwards);
    }

    /// Starts to wait for something to read, edge-triggered. Any thread. The descriptor stays the
    /// caller's, who closes it in the task that he gives to [Waiting#stop].
    ///
    /// @param onReady runs on the loop; also once at the start when the descriptor is ready then
    /// @param onFailure runs on the loop, instead of any further `onReady`, when waiting is
    ///     impossible or `onReady` has thrown
    Waiting awaitReadable(int fd, Runnable onReady, Runnable onFailure);
}
