package org.splitring.blkback.image;

/// Where a range of a disk is. Reused; whoever looked it up owns it.
final class Extent {
    /// Nothing is known without reading a table.
    static final int UNKNOWN = 0;

    /// Reads as zeros.
    static final int ZERO = 1;

    /// In the backing file, at the same offset.
    static final int BACKING = 2;

    /// In the file.
    static final int DATA = 3;

    /// In the file, compressed.
    static final int COMPRESSED = 4;

    int kind;

    /// Bytes of the disk that it covers.
    long sizeBytes;

    /// For [#DATA] the place in the file of the first byte, for [#COMPRESSED] the table's entry.
    long place;

    /// For [#DATA] whether it may be written in place: nobody else has it.
    boolean owned;
}
