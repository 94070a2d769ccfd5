package org.splitring.blkback;

/// Work that says how much of a disk's time it takes.
interface DiskWork extends Runnable {
    /// Bytes that are read or written. Asked before it runs, on any thread.
    long costBytes();
}
