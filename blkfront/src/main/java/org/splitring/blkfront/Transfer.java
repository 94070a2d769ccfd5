package org.splitring.blkfront;

import org.jspecify.annotations.Nullable;

/// One read, write, flush or discard of a caller, on its way through one or more ring requests.
/// Reused; belongs to the loop.
final class Transfer {
    int operation;
    long offsetBytes;
    long sizeBytes;
    @Nullable GuestBuffer buffer;
    @Nullable Completion completion;

    /// How much of it is in ring requests already.
    long submittedBytes;

    boolean allSubmitted;

    /// Requests that were cut off it and are not answered, also those that wait for another ring.
    int outstanding;

    /// The first error, or okay so far.
    int status;

    /// Next in the queue of those that wait for the ring, or in the list of unused ones.
    @Nullable Transfer next;
}
