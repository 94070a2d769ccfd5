package org.splitring.blkback;

import org.splitring.wire.BlkifLayout;

/// A request out of the ring after all checks: what was asked, in private memory, and whether it
/// may be done. Reused: [RequestReader] fills it.
final class CheckedRequest {
    /// The frontend's, echoed unchanged; says nothing to us.
    long id;

    /// As it came, 0 to 255: echoed too.
    int operation;

    /// `BLKIF_RSP_OKAY` when it may be done; otherwise the answer.
    int status;

    /// First sector on the disk. Within the disk, with [#sectors], when the status is okay.
    long startSector;

    /// How many sectors the segments have together, or how many a discard names; 0 for a flush
    /// without data.
    long sectors;

    /// 0 to 11 when the status is okay.
    int segmentCount;

    final int[] grefs = new int[BlkifLayout.MAX_SEGMENTS_PER_REQUEST];

    /// First sector of each page, 0 to 7.
    final int[] firstSects = new int[BlkifLayout.MAX_SEGMENTS_PER_REQUEST];

    /// How many sectors of each page, 1 to 8; they end within the page.
    final int[] sectorCounts = new int[BlkifLayout.MAX_SEGMENTS_PER_REQUEST];
}
