package org.splitring.xenbus.store;

import java.util.Optional;

/// What a guest can have only so much of. The names are those of the wire (GET_QUOTA, SET_QUOTA),
/// the defaults those of Xen's C xenstored.
public enum Quota {
    /// Nodes owned (ENOSPC).
    NODES("nodes", 1000, "Nodes per domain"),
    /// Registered watches (E2BIG).
    WATCHES("watches", 128, "Watches per domain"),
    /// Open transactions (ENOSPC).
    TRANSACTIONS("transactions", 10, "Transactions per domain"),
    /// Answers and events on one connection that the guest has not taken: at that number its
    /// requests are left unread.
    OUTSTANDING("outstanding", 20, "Outstanding requests per domain"),
    /// Nodes that one transaction may touch, and changes it may make (ENOSPC).
    TRANSACTION_NODES("transaction-nodes", 1024, "Max. number of accessed nodes per transaction"),
    /// Bytes of nodes, watches and open transactions together (ENOMEM).
    MEMORY("memory", 5 << 19, "Total Xenstore memory per domain (error level)"),
    /// Bytes from which on one log line warns.
    SOFT_MEMORY("soft-memory", 2 << 20, "Total Xenstore memory per domain (warning level)"),
    /// Bytes of one node: value, rights, and names of the nodes below (ENOSPC).
    NODE_SIZE("node-size", 2048, "Max. size of a node"),
    /// Characters of a path below the domain's folder, or of one outside (EINVAL).
    PATH_MAX("path-max", 2048, "Max. length of a node path"),
    /// Entries in the rights of one node (ENOSPC).
    PERMISSIONS("permissions", 5, "Max. number of permissions per node");

    private final String wireName;
    private final int usual;
    private final String description;

    Quota(String wireName, int usual, String description) {
        this.wireName = wireName;
        this.usual = usual;
        this.description = description;
    }

    public String wireName() {
        return wireName;
    }

    int usual() {
        return usual;
    }

    /// What Xen's daemon says of it.
    String description() {
        return description;
    }

    /// The quota of that name.
    static Optional<Quota> byName(String name) {
        for (Quota quota : values()) {
            if (quota.wireName.equals(name)) {
                return Optional.of(quota);
            }
        }
        return Optional.empty();
    }
}
