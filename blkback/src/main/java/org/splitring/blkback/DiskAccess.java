package org.splitring.blkback;

/// Whether a disk may be written. A read-only disk is opened read-only too, so that a mistake
/// elsewhere cannot write to it.
public enum DiskAccess {
    READ_WRITE,
    READ_ONLY
}
