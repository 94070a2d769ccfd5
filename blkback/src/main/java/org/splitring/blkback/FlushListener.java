package org.splitring.blkback;

/// Hears how a flush ended.
@FunctionalInterface
interface FlushListener {
    /// Called exactly once for each flush, perhaps before the call that asked has returned, on the
    /// thread that synchronises; it hands over and returns.
    ///
    /// @param stable `true` when every write answered before the flush was asked for is stable
    void flushed(boolean stable);
}
