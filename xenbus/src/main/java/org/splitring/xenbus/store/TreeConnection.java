package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// A connection to the tree of this JVM.
final class TreeConnection implements Store {
    private final StoreTree tree;
    private final DomainAccount account;
    private final Executor watchExecutor;
    // Guarded by the lock of the tree.
    private final Set<TreeWatch> watches = new LinkedHashSet<>();
    private final Set<TreeTransaction> transactions = new HashSet<>();
    private final List<Runnable> lostListeners = new ArrayList<>();
    private boolean closed;
    private boolean lost;

    TreeConnection(StoreTree tree, DomainAccount account, Executor watchExecutor) {
        this.tree = tree;
        this.account = account;
        this.watchExecutor = watchExecutor;
    }

    StoreTree tree() {
        return tree;
    }

    DomainAccount account() {
        return account;
    }

    boolean mayRead(Node node) {
        return Node.access(node.permissions(), account.domain, account.target()).reads();
    }

    boolean mayWrite(Node node) {
        return Node.access(node.permissions(), account.domain, account.target()).writes();
    }

    boolean owns(Node node) {
        return Node.owned(node.permissions(), account.domain, account.target());
    }

    Set<TreeWatch> watches() {
        return watches;
    }

    Set<TreeTransaction> transactions() {
        return transactions;
    }

    boolean closed() {
        return closed;
    }

    void markClosed() {
        closed = true;
    }

    /// Its domain is gone.
    ///
    /// @return who wants to know
    List<Runnable> markLost() {
        lost = true;
        List<Runnable> listeners = List.copyOf(lostListeners);
        lostListeners.clear();
        return listeners;
    }

    boolean lost() {
        return lost;
    }

    List<Runnable> lostListeners() {
        return lostListeners;
    }

    Executor watchExecutor() {
        return watchExecutor;
    }

    @Override
    public DomId domain() {
        return account.domain;
    }

    @Override
    public Optional<String> read(String path) throws StoreException {
        byte @Nullable [] value = tree.read(this, null, path);
        return value == null ? Optional.empty() : Optional.of(StoreTree.text(value));
    }

    @Override
    public void write(String path, String value) throws StoreException {
        tree.write(this, null, path, StoreTree.bytes(value));
    }

    @Override
    public void makeNode(String path) throws StoreException {
        tree.makeNode(this, null, path);
    }

    @Override
    public void remove(String path) throws StoreException {
        try {
            tree.remove(this, null, path);
        } catch (StoreException e) {
            if (e.error() != StoreError.ENOENT) {
                throw e;
            }
        }
    }

    @Override
    public List<String> list(String path) throws StoreException {
        Node node = tree.nodeToRead(this, null, path);
        return node == null ? List.of() : node.childNames();
    }

    @Override
    public List<Permission> permissions(String path) throws StoreException {
        return permissionsOf(tree.nodeToRead(this, null, path), path);
    }

    static List<Permission> permissionsOf(@Nullable Node node, String path) throws StoreException {
        if (node == null) {
            throw new StoreException(StoreError.ENOENT, "permissions of " + path);
        }
        return node.permissions();
    }

    @Override
    public void setPermissions(String path, List<Permission> permissions) throws StoreException {
        tree.setPermissions(this, null, path, permissions);
    }

    @Override
    public Watch watch(String path, WatchListener listener) throws StoreException {
        return tree.watch(
                this,
                path,
                TreeWatch.UNLIMITED,
                PendingEvents.listening(path, listener, watchExecutor));
    }

    @Override
    public void transaction(TransactionBody body) throws StoreException {
        Retry.transaction(
                () -> tree.start(this),
                transaction -> {
                    body.run(transaction);
                    return Boolean.TRUE;
                },
                tree::commit,
                tree::drop);
    }

    @Override
    public <T> T transactionReturning(TransactionFunction<T> body) throws StoreException {
        return Retry.transaction(() -> tree.start(this), body, tree::commit, tree::drop);
    }

    /// A connection within one JVM is lost only when its domain is released.
    @Override
    public void onLost(Runnable listener) {
        tree.onLost(this, listener);
    }

    @Override
    public void close() {
        tree.close(this);
    }
}
