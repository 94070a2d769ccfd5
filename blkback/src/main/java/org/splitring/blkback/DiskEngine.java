package org.splitring.blkback;

/// What moves bytes between guest and storage when that has to wait. What the page cache can serve
/// is done on the loop of the device whichever it is.
public enum DiskEngine {
    /// The kernel, many transfers at the same time, where it lets us; else threads.
    IO_URING,
    /// A few threads, each with one transfer.
    THREADS
}
