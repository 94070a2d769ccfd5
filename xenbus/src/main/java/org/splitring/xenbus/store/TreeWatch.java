package org.splitring.xenbus.store;

/// One watch of a connection to the tree.
///
/// @param depth how many levels below its path it hears of; [#UNLIMITED] for all
record TreeWatch(TreeConnection connection, StorePath storePath, int depth, PendingEvents events)
        implements Watch {
    static final int UNLIMITED = -1;

    private static final int BYTES = 64;
    private static final int LEVEL_BYTES = 56;

    /// What it costs its domain: itself, its texts, and an entry of the table for each level.
    long bytes() {
        return BYTES
                + storePath.text().length()
                + events.token().length()
                + (long) LEVEL_BYTES * storePath.parts().size();
    }

    /// Whether a change at `path`, which is at or below its own, is within its depth.
    boolean reaches(StorePath path) {
        return depth == UNLIMITED || path.parts().size() - storePath.parts().size() <= depth;
    }

    // A watch is the same as itself only; comparing texts would make each end of one cost them.

    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }

    @Override
    public String path() {
        return events.path();
    }

    @Override
    public void close() {
        connection.tree().unwatch(this);
    }
}
