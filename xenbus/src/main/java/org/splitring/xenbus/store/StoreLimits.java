package org.splitring.xenbus.store;

/// What one guest may use of the store, over all its connections. Domain 0 is not limited by these.
///
/// Beyond a limit the one operation is refused with the error named here and nobody is disturbed.
///
/// @param maxNodes nodes owned by the guest (ENOSPC)
/// @param maxValueBytes bytes of one value (ENOSPC)
/// @param maxPermissions entries in the rights of one node (ENOSPC)
/// @param maxWatches registered watches (E2BIG)
/// @param maxTransactions open transactions (ENOSPC)
/// @param maxTransactionNodes nodes that one transaction may touch, and changes it may make
///     (ENOSPC)
/// @param maxTransactionBytes memory of all open transactions together (ENOSPC)
/// @param maxOutstanding answers and events on one connection that the guest has not taken; its
///     requests are left unread until there are fewer
public record StoreLimits(
        int maxNodes,
        int maxValueBytes,
        int maxPermissions,
        int maxWatches,
        int maxTransactions,
        int maxTransactionNodes,
        int maxTransactionBytes,
        int maxOutstanding) {
    /// Limits of Xen's C xenstored where it has such a limit; 1 MiB for transactions.
    public static final StoreLimits DEFAULT =
            new StoreLimits(1000, 2048, 5, 128, 10, 1024, 1 << 20, 20);
}
