package org.splitring.xenbus.store;

import java.util.List;

/// What a guest's request may not exceed, checked before anything happens. Domain 0 is not limited
/// but in the size of a transaction. Called with the lock of the store.
final class GuestLimits {
    private static final int MAX_TRANSACTION_NODES_OF_DOMAIN_0 = 65_536;

    private final StoreDomains domains;

    GuestLimits(StoreDomains domains) {
        this.domains = domains;
    }

    /// Whether a node may be written, or made with all that are missing above it.
    ///
    /// @param view of the tree in which it is made
    /// @param owned what the domain owns more in that view than its account says
    /// @param bytes of the value
    void checkMaking(DomainAccount account, Node view, Usage owned, StorePath path, int bytes)
            throws StoreException {
        if (!account.isLimited()) {
            return;
        }
        List<String> parts = path.parts();
        int existing = 0;
        Node nearest = view;
        while (existing < parts.size()) {
            Node next = nearest.children().get(parts.get(existing));
            if (next == null) {
                break;
            }
            nearest = next;
            existing++;
        }
        StoreLimits limits = domains.limitsOfAll();
        if (existing == parts.size()) {
            long size = nearest.sizeBytes() - nearest.value().length + (long) bytes;
            account.check(limits, Quota.NODE_SIZE, size + 1, StoreError.ENOSPC);
            return;
        }
        long nodes = (long) account.owned.nodes() + owned.nodes() + parts.size() - existing;
        account.check(limits, Quota.NODES, nodes, StoreError.ENOSPC);
        long bare = Node.RECORD_BYTES + (long) Node.PERMISSION_BYTES * nearest.permissions().size();
        long largest = Math.max(bare + bytes, nearest.sizeBytes() + inList(parts.get(existing)));
        for (String made : parts.subList(existing + 1, parts.size())) {
            largest = Math.max(largest, bare + inList(made));
        }
        account.check(limits, Quota.NODE_SIZE, largest + 1, StoreError.ENOSPC);
    }

    /// Whether a node may have so many rights. One that domain 0 has made larger than allowed may
    /// not be changed at all, whatever the change.
    void checkRights(DomainAccount account, Node node, int rights) throws StoreException {
        long more = (long) Node.PERMISSION_BYTES * (rights - node.permissions().size());
        account.check(
                domains.limitsOfAll(),
                Quota.NODE_SIZE,
                node.sizeBytes() + more + 1,
                StoreError.ENOSPC);
    }

    /// What a name adds to the list of the folder above it.
    private static int inList(String name) {
        return name.length() + 1;
    }

    /// Whether a domain may own what a draft gives it.
    void checkOwned(DomainAccount account, Draft draft) throws StoreException {
        Usage more = draft.owned(account.domain);
        StoreLimits limits = domains.limitsOfAll();
        if (more.nodes() > 0) {
            long nodes = (long) account.owned.nodes() + more.nodes();
            account.check(limits, Quota.NODES, nodes, StoreError.ENOSPC);
        }
        if (more.bytes() > 0) {
            long bytes = account.bytes() + more.bytes();
            account.check(limits, Quota.MEMORY, bytes, StoreError.ENOMEM);
        }
    }

    /// Whether a transaction may touch so many nodes, or make so many changes.
    void checkTransaction(DomainAccount account, int count) throws StoreException {
        account.check(domains.limitsOfAll(), Quota.TRANSACTION_NODES, count, StoreError.ENOSPC);
        if (!account.isLimited() && count > MAX_TRANSACTION_NODES_OF_DOMAIN_0) {
            throw new StoreException(StoreError.ENOSPC, count + " nodes in one transaction");
        }
    }

    /// Counts bytes of a transaction.
    void charge(DomainAccount account, int bytes) throws StoreException {
        account.charge(domains.limitsOfAll(), bytes);
    }
}
