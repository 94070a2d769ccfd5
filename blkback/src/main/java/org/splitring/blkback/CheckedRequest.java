package org.splitring.blkback;

import org.splitring.wire.BlkifLayout;

/// A request out of the ring after all checks: what was asked, in private memory, and whether it
/// may be done. Reused: [RequestReader] fills it.
final class CheckedRequest {
    /// The frontend's, echoed unchanged; says nothing to us.
    long id;

    /// As it came, 0 to 255: echoed too. Of an indirect request it is the operation inside, once
    /// that is one: so does Linux's backend, and its frontend insists.
    int operation;

    /// `BLKIF_RSP_OKAY` when it may be done; otherwise the answer.
    int status;

    /// First sector on the disk. Within the disk, with [#sectors], when the status is okay.
    long startSector;

    /// How many sectors the segments have together, or how many a discard names; 0 for a flush
    /// without data.
    long sectors;

    /// 0 to 11 when the status is okay, or to what was announced for an indirect request.
    int segmentCount;

    /// How many pages of segments an indirect request has, whose segments have not been looked at
    /// yet; 0 for any other.
    int indirectPages;

    final int[] indirectGrefs = new int[BlkifLayout.MAX_INDIRECT_PAGES_PER_REQUEST];
}
