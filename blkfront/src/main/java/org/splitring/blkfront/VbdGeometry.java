package org.splitring.blkfront;

/// What the backend says about the disk.
///
/// @param sizeBytes its size
/// @param sectorSizeBytes logical block size; the ring counts in 512 bytes all the same
/// @param readOnly whether writes are refused
/// @param flush whether the backend offers flush; without it an acknowledged write is as safe as
///     it gets
public record VbdGeometry(long sizeBytes, int sectorSizeBytes, boolean readOnly, boolean flush) {
    public VbdGeometry {
        if (sizeBytes <= 0 || sectorSizeBytes < 512 || sizeBytes % sectorSizeBytes != 0) {
            throw new IllegalArgumentException(
                    "size " + sizeBytes + " with sectors of " + sectorSizeBytes);
        }
    }
}
