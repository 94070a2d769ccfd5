package org.splitring.blkfront;

/// Hears how a read, write, flush or discard ended. Called exactly once for each, on the device's
/// loop, perhaps before the call that started it has returned.
@FunctionalInterface
public interface Completion {
    /// The operation has ended.
    ///
    /// @param blkifStatus `BLKIF_RSP_OKAY` (0), `BLKIF_RSP_ERROR` (-1) or `BLKIF_RSP_EOPNOTSUPP`
    ///     (-2); -1 also when the backend went away before it answered
    void done(int blkifStatus);
}
