package org.splitring.xenbus.store;

/// Nodes and bytes of one domain, or how many more.
///
/// @param nodes owned
/// @param bytes of those nodes
record Usage(int nodes, long bytes) {
    static final Usage NONE = new Usage(0, 0);

    Usage plus(Usage more) {
        return new Usage(nodes + more.nodes, bytes + more.bytes);
    }

    Usage minus(Usage less) {
        return new Usage(nodes - less.nodes, bytes - less.bytes);
    }

    /// One node: its text, twice its name (in its folder's list and in the path), and what a record
    /// and its rights take in Xen's daemon.
    static Usage of(Node node) {
        return new Usage(
                1,
                Node.RECORD_BYTES
                        + (long) Node.PERMISSION_BYTES * node.permissions().size()
                        + node.value().length
                        + 2L * (node.place().name().length() + 1));
    }
}
