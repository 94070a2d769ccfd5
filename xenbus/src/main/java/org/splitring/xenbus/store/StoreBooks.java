package org.splitring.xenbus.store;

import java.util.HashMap;
import java.util.Map;
import org.splitring.hypervisor.DomId;

/// Counts everything anew and compares it with the accounts.
final class StoreBooks {
    private StoreBooks() {}

    /// @throws IllegalStateException when the books do not balance
    static void check(Node root, RightsIndex rights, StoreDomains domains, WatchTable watches) {
        if (!rights.hasTheSameAs(RightsIndex.of(root))) {
            throw new IllegalStateException("the index of rights is not that of the tree");
        }
        Map<DomId, Usage> counted = new HashMap<>();
        NodeWalk.walk(
                root,
                node -> {
                    counted.merge(node.owner(), Usage.of(node), Usage::plus);
                    return true;
                });
        int registered = 0;
        for (DomainAccount account : domains.all()) {
            Usage found = counted.getOrDefault(account.domain, Usage.NONE);
            if (!account.owned.equals(found)) {
                throw new IllegalStateException(
                        "domain " + account.domain + ": " + account.owned + " != " + found);
            }
            boolean nothingElse = account.transactions == 0 && account.watches == 0;
            if (nothingElse && account.otherBytes() != 0) {
                throw new IllegalStateException(
                        account.otherBytes() + " bytes of nothing, domain " + account.domain);
            }
            registered += account.watches;
        }
        if (registered != watches.count()) {
            throw new IllegalStateException("watches " + registered + " != " + watches.count());
        }
    }
}
