package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// One transaction: the version of the tree it began with, a private changed copy, what it looked
/// at, and its changes in order. Guarded by the lock of the store.
final class TreeTransaction implements StoreAccess {
    private static final long ABSENT = -1;

    /// What it keeps beside the text: for a node, and for each level of a changed path.
    private static final int NODE_BYTES = 64;

    private static final int LEVEL_BYTES = 56;

    private final StoreTree tree;
    private final TreeConnection connection;
    private final GuestLimits limits;
    private long baseVersion;
    private final long startNanos;
    private Node base;
    private Draft draft;
    private final Map<String, Long> touched = new HashMap<>();
    private final List<Change> changes = new ArrayList<>();
    private long bytes;
    private boolean open = true;
    private boolean expired;
    private boolean spoilt;

    TreeTransaction(
            StoreTree tree,
            TreeConnection connection,
            GuestLimits limits,
            long baseVersion,
            long startNanos,
            Draft draft) {
        this.tree = tree;
        this.connection = connection;
        this.limits = limits;
        this.baseVersion = baseVersion;
        this.startNanos = startNanos;
        this.base = draft.root();
        this.draft = draft;
    }

    TreeConnection connection() {
        return connection;
    }

    /// Which version of the tree it sees.
    long baseVersion() {
        return baseVersion;
    }

    long startNanos() {
        return startNanos;
    }

    /// Lets go of the version it began with: it can only fail from now on.
    ///
    /// @param now any version that lives anyway
    void expire(Node now) {
        expired = true;
        base = now;
        draft = new Draft(now, () -> 0, connection.domain());
        changes.clear();
    }

    /// @throws StoreException [StoreError#EAGAIN] when it took too long
    void requireNotExpired() throws StoreException {
        if (expired) {
            throw new StoreException(StoreError.EAGAIN, "transaction took too long");
        }
    }

    Draft draft() {
        return draft;
    }

    List<Change> changes() {
        return changes;
    }

    boolean open() {
        return open;
    }

    /// Marks it ended.
    ///
    /// @return whether it was open
    boolean end() {
        boolean wasOpen = open;
        open = false;
        return wasOpen;
    }

    /// Notes that the outcome depends on the node.
    ///
    /// @throws StoreException when it is not open any more, or touches more than it may
    void touch(StorePath path) throws StoreException {
        if (!open) {
            throw new StoreException(StoreError.ENOENT, "transaction is not open");
        }
        requireNotExpired();
        if (!touched.containsKey(path.text())) {
            follow(path);
            allow(() -> limits.checkTransaction(connection.account(), touched.size() + 1));
            charge(NODE_BYTES + path.text().length());
            touched.put(path.text(), generation(base, path.parts()));
        }
    }

    /// What a missing node allows, and whether it is still missing, hangs on the nearest node
    /// above.
    void touchNearest(StorePath path) throws StoreException {
        follow(path.above(draft.missing(path)));
        touch(path.above(draft.missing(path)));
    }

    /// Touches a node that is there and all below it.
    void touchAll(Node node) throws StoreException {
        List<StorePath> paths = new ArrayList<>();
        NodeWalk.walk(
                node,
                below -> {
                    paths.add(below.place().path());
                    return true;
                });
        for (StorePath path : paths) {
            touch(path);
        }
    }

    /// Before it looks at a node for the first time: if that has changed since, moves on to the
    /// tree as it is now, so that others who were quicker elsewhere do not spoil it. When something
    /// that it has looked at before has changed too, it stays where it is, and will fail.
    private void follow(StorePath path) {
        Node now = tree.root();
        if (baseVersion == tree.treeVersion()
                || generation(base, path.parts()) == generation(now, path.parts())
                || !conflictsWith(now).isEmpty()) {
            return;
        }
        base = now;
        baseVersion = tree.treeVersion();
        draft = tree.draft(connection.domain());
        changes.forEach(draft::apply);
    }

    private void charge(int more) throws StoreException {
        allow(() -> limits.charge(connection.account(), more));
        bytes += more;
    }

    /// A limit that one of its requests might exceed.
    @FunctionalInterface
    interface Limit {
        void check() throws StoreException;
    }

    /// Checks a limit. A transaction that was refused something is not whole any more and cannot be
    /// committed.
    void allow(Limit limit) throws StoreException {
        try {
            limit.check();
        } catch (StoreException e) {
            spoilt = true;
            throw e;
        }
    }

    /// @throws StoreException [StoreError#ENOMEM] when one of its requests exceeded a limit
    void requireWhole() throws StoreException {
        if (spoilt) {
            throw new StoreException(StoreError.ENOMEM, "a request of it exceeded a limit");
        }
    }

    /// What it has been charged for.
    long bytes() {
        return bytes;
    }

    /// Makes a change in its own copy of the tree.
    void add(Change change) throws StoreException {
        allow(() -> limits.checkTransaction(connection.account(), changes.size() + 1));
        StorePath path = change.path();
        int value = change instanceof Change.Write write ? write.value().length : 0;
        charge(NODE_BYTES + path.text().length() + LEVEL_BYTES * path.parts().size() + value);
        draft.apply(change);
        changes.add(change);
    }

    /// Nodes whose last change makes this transaction impossible: those touched that are not what
    /// they were, or, for one that is missing, the nearest above it. None when it is possible.
    List<Node> conflictsWith(Node now) {
        List<Node> conflicts = List.of();
        for (Map.Entry<String, Long> one : touched.entrySet()) {
            List<String> parts = StorePath.split(one.getKey());
            if (generation(now, parts) != one.getValue()) {
                if (conflicts.isEmpty()) {
                    conflicts = new ArrayList<>();
                }
                conflicts.add(Draft.nearest(now, parts));
            }
        }
        return conflicts;
    }

    private static long generation(Node root, List<String> parts) {
        Node node = Draft.find(root, parts);
        return node == null ? ABSENT : node.generation();
    }

    @Override
    public Optional<String> read(String path) throws StoreException {
        byte @Nullable [] value = tree.read(connection, this, path);
        return value == null ? Optional.empty() : Optional.of(StoreTree.text(value));
    }

    @Override
    public void write(String path, String value) throws StoreException {
        tree.write(connection, this, path, StoreTree.bytes(value));
    }

    @Override
    public void makeNode(String path) throws StoreException {
        tree.makeNode(connection, this, path);
    }

    @Override
    public void remove(String path) throws StoreException {
        try {
            tree.remove(connection, this, path);
        } catch (StoreException e) {
            if (!open || e.error() != StoreError.ENOENT) {
                throw e;
            }
        }
    }

    @Override
    public List<String> list(String path) throws StoreException {
        Node node = tree.nodeToRead(connection, this, path);
        return node == null ? List.of() : node.childNames();
    }

    @Override
    public List<Permission> permissions(String path) throws StoreException {
        return TreeConnection.permissionsOf(tree.nodeToRead(connection, this, path), path);
    }

    @Override
    public void setPermissions(String path, List<Permission> permissions) throws StoreException {
        tree.setPermissions(connection, this, path, permissions);
    }
}
