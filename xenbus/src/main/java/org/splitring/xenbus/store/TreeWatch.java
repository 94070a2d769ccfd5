package org.splitring.xenbus.store;

/// One watch of a connection to the tree.
record TreeWatch(TreeConnection connection, StorePath storePath, PendingEvents events)
        implements Watch {
    @Override
    public String path() {
        return events.path();
    }

    @Override
    public void close() {
        connection.tree().unwatch(this);
    }
}
