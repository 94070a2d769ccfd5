package org.splitring.blkback;

/// Threads for work that waits, shared by several disks.
@FunctionalInterface
public interface WorkShares {
    /// Weight of a disk of which nothing else is said.
    int DEFAULT_WEIGHT = 100;

    int MAX_WEIGHT = 1000;

    /// Makes a share for one disk.
    ///
    /// @param weight how much it gets beside others that have work at the same time, 1 to
    ///     [#MAX_WEIGHT]
    WorkShare share(int weight);
}
