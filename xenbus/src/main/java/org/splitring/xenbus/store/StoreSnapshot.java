package org.splitring.xenbus.store;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// All that a store keeps when its server ends: not watches and transactions, whose clients are
/// gone with it. Immutable, as the nodes are.
///
/// @param version grows with each change, from 0 in every server
/// @param generation highest number given to a node so far; a successor goes on from there, so that
///     a list read in parts is never put together out of two servers' versions
/// @param root of the tree
/// @param limits of domains that have none of their own
/// @param domains known to exist, without domain 0
/// @param specials rights on `@introduceDomain` and `@releaseDomain`
record StoreSnapshot(
        long version,
        long generation,
        Node root,
        StoreLimits limits,
        List<KnownDomain> domains,
        Map<String, List<Permission>> specials) {
    /// A domain that was introduced.
    ///
    /// @param limits its own, if it has any
    /// @param target domain whose rights it has too
    record KnownDomain(
            DomId domain, int features, @Nullable StoreLimits limits, @Nullable DomId target) {}

    /// A store with nothing in it.
    static StoreSnapshot empty(StoreLimits limits) {
        return new StoreSnapshot(0, 0, Node.emptyRoot(), limits, List.of(), Map.of());
    }
}
