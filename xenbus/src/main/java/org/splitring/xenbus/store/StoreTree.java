package org.splitring.xenbus.store;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// The store's tree, kept in this JVM. Any thread; no call waits.
///
/// The tree is immutable: a change makes new copies of the nodes on its path and then replaces the
/// root, under one short lock. A transaction works on a copy of its own and, at its end, is
/// compared node by node with what the tree has become ([Draft], [TreeTransaction]). Executors of
/// watches are called outside the lock.
///
/// Rights are those of xenstore: checked in one place, the root is no special case, and a domain
/// that may not see a node learns nothing of it, by reading or by watching.
public final class StoreTree {
    /// `xs_wire.h`: payload of a message. What could not be read over the wire is not let in.
    static final int MAX_PAYLOAD = 4096;

    private static final int MAX_TRANSACTION_NODES_OF_DOMAIN_0 = 65_536;

    /// Levels of all paths that a guest watches: each costs an entry of the table. 128 watches in
    /// device folders have 1200.
    private static final int MAX_WATCH_LEVELS = 8192;

    /// What a transaction keeps beside the text: for a node, and for each level of a changed path.
    private static final int NODE_BYTES = 64;

    private static final int LEVEL_BYTES = 56;
    private static final int MAX_PERMISSIONS = 256;

    /// What a domain uses now.
    static final class Account {
        int nodes;
        int watches;
        int watchLevels;
        int transactions;
        long transactionBytes;
    }

    private final Object lock = new Object();
    private final StoreLimits limits;
    private final Map<DomId, Account> accounts = new HashMap<>();
    private final Set<DomId> introduced = new HashSet<>();
    private final WatchTable watches = new WatchTable();
    private long generation;
    private long version;
    private Node root;

    public StoreTree() {
        this(StoreLimits.DEFAULT);
    }

    /// @param limits of each guest
    public StoreTree(StoreLimits limits) {
        this(limits, new StoreSnapshot(0, 0, Node.emptyRoot(), Set.of()));
    }

    /// A store that goes on where another has ended.
    StoreTree(StoreLimits limits, StoreSnapshot begin) {
        this.limits = limits;
        generation = begin.generation();
        root = begin.root();
        introduced.addAll(begin.introduced());
        NodeWalk.walk(root, (path, node) -> ++account(node.owner()).nodes > 0);
    }

    /// A connection with the rights of `domain`.
    ///
    /// @param watchExecutor runs the listeners of its watches
    public Store connection(DomId domain, Executor watchExecutor) {
        return connect(domain, watchExecutor);
    }

    TreeConnection connect(DomId domain, Executor watchExecutor) {
        return new TreeConnection(this, domain, watchExecutor);
    }

    /// Says that a domain exists. Watches on `@introduceDomain` fire.
    public void introduce(DomId domain) {
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            if (introduced.add(domain)) {
                version++;
                fireSpecial("@introduceDomain", due);
            }
        }
        schedule(due);
    }

    /// Forgets a domain that is gone: its number may come again, so nodes it owned are removed with
    /// what is below them, and no right that named it stays (hostile catalogue H-106, H-107).
    /// Watches on `@releaseDomain` fire. Its connections are closed by whoever opened them.
    public void release(DomId domain) {
        if (domain.equals(DomId.ZERO)) {
            throw new IllegalArgumentException("domain 0 cannot be released");
        }
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            List<Change> changes = changesAtDeath(domain);
            Draft draft = new Draft(root, this::nextGeneration);
            changes.forEach(draft::apply);
            if (!changes.isEmpty()) {
                publish(draft, changes, due);
            }
            if (introduced.remove(domain)) {
                version++;
                fireSpecial("@releaseDomain", due);
            }
        }
        schedule(due);
    }

    /// Grows with each change of what a dump holds.
    long version() {
        synchronized (lock) {
            return version;
        }
    }

    /// All that outlives the server, at this moment.
    StoreSnapshot snapshot() {
        synchronized (lock) {
            return new StoreSnapshot(version, generation, root, Set.copyOf(introduced));
        }
    }

    /// Limits of each guest.
    StoreLimits limits() {
        return limits;
    }

    boolean isIntroduced(DomId domain) {
        synchronized (lock) {
            return domain.equals(DomId.ZERO) || introduced.contains(domain);
        }
    }

    // Operations of connections. `transaction` is null outside one.

    byte @Nullable [] read(
            TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        Node node = nodeToRead(connection, transaction, path);
        return node == null ? null : node.value(); // arrays of nodes are never written
    }

    /// The node itself, immutable; null when there is none.
    @Nullable Node nodeToRead(
            TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        StorePath parsed = StorePath.node(path, connection.domain());
        synchronized (lock) {
            return permitted(connection, transaction, parsed, false);
        }
    }

    void write(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            String path,
            byte[] value)
            throws StoreException {
        StorePath parsed = StorePath.node(path, connection.domain());
        if (path.length() + 1 + value.length > MAX_PAYLOAD) {
            throw new StoreException(
                    StoreError.E2BIG, "write of " + value.length + " bytes to " + parsed);
        }
        if (limited(connection) && value.length > limits.maxValueBytes()) {
            throw new StoreException(
                    StoreError.ENOSPC, "value of " + value.length + " bytes for " + parsed);
        }
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            permitted(connection, transaction, parsed, true);
            Change change = new Change.Write(parsed, value.clone(), connection.domain());
            applyMaking(connection, transaction, change, value.length, due);
        }
        schedule(due);
    }

    void makeNode(TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        StorePath parsed = StorePath.node(path, connection.domain());
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            if (permitted(connection, transaction, parsed, true) != null) {
                return;
            }
            Change change = new Change.Make(parsed, connection.domain());
            applyMaking(connection, transaction, change, 0, due);
        }
        schedule(due);
    }

    /// @throws StoreException [StoreError#ENOENT] when the node above is missing too; when only the
    ///     node itself is, there is nothing to do, as Xen's daemon has it
    void remove(TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        StorePath parsed = StorePath.node(path, connection.domain());
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            Node node = permitted(connection, transaction, parsed, true);
            if (parsed.root()) {
                throw new StoreException(StoreError.EINVAL, "the root cannot be removed");
            }
            if (node == null) {
                if (Draft.find(view(transaction), parsed.above(1).parts()) == null) {
                    throw new StoreException(StoreError.ENOENT, "remove " + parsed);
                }
                return;
            }
            if (transaction != null) {
                touch(connection, transaction, parsed.above(1)); // its list changes
            }
            apply(connection, transaction, new Change.Remove(parsed), 0, due);
        }
        schedule(due);
    }

    void setPermissions(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            String path,
            List<Permission> permissions)
            throws StoreException {
        StorePath parsed = StorePath.node(path, connection.domain());
        if (permissions.isEmpty()) {
            throw new StoreException(StoreError.EINVAL, "no permissions for " + parsed);
        }
        int most = limited(connection) ? limits.maxPermissions() : MAX_PERMISSIONS;
        if (permissions.size() > most) {
            throw new StoreException(
                    StoreError.ENOSPC, permissions.size() + " permissions for " + parsed);
        }
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            Node node = permitted(connection, transaction, parsed, true);
            if (node == null) {
                throw new StoreException(StoreError.ENOENT, "set permissions of " + parsed);
            }
            if (!node.ownedBy(connection.domain())) {
                throw new StoreException(StoreError.EACCES, "not the owner of " + parsed);
            }
            if (limited(connection) && !permissions.getFirst().domain().equals(node.owner())) {
                throw new StoreException(StoreError.EPERM, "only domain 0 gives nodes away");
            }
            Change change = new Change.SetPermissions(parsed, List.copyOf(permissions));
            apply(connection, transaction, change, 0, due);
        }
        schedule(due);
    }

    /// @param events receives them; its path is `path`
    TreeWatch watch(TreeConnection connection, String path, PendingEvents events)
            throws StoreException {
        StorePath parsed = StorePath.watched(path, connection.domain());
        if (parsed.special() && limited(connection)) {
            throw new StoreException(StoreError.EACCES, "watch on " + parsed);
        }
        TreeWatch watch = new TreeWatch(connection, parsed, events);
        synchronized (lock) {
            requireOpen(connection);
            Account account = account(connection.domain());
            if (limited(connection) && account.watches >= limits.maxWatches()) {
                throw new StoreException(StoreError.E2BIG, account.watches + " watches");
            }
            int levels = account.watchLevels + parsed.parts().size();
            if (limited(connection) && levels > MAX_WATCH_LEVELS) {
                throw new StoreException(StoreError.E2BIG, levels + " levels of watched paths");
            }
            account.watches++;
            account.watchLevels = levels;
            watches.add(watch);
            connection.watches().add(watch);
            events.note(path);
        }
        events.schedule();
        return watch;
    }

    void unwatch(TreeWatch watch) {
        synchronized (lock) {
            if (watch.events().end()) {
                watches.remove(watch);
                watch.connection().watches().remove(watch);
                Account account = account(watch.connection().domain());
                account.watches--;
                account.watchLevels -= watch.storePath().parts().size();
            }
        }
    }

    TreeTransaction start(TreeConnection connection) throws StoreException {
        synchronized (lock) {
            requireOpen(connection);
            Account account = account(connection.domain());
            if (limited(connection) && account.transactions >= limits.maxTransactions()) {
                throw new StoreException(
                        StoreError.ENOSPC, account.transactions + " open transactions");
            }
            account.transactions++;
            TreeTransaction transaction =
                    new TreeTransaction(
                            this, connection, version, new Draft(root, this::nextGeneration));
            connection.transactions().add(transaction);
            return transaction;
        }
    }

    void drop(TreeTransaction transaction) {
        synchronized (lock) {
            end(transaction);
        }
    }

    /// Ends a transaction and brings all its changes into force, or none.
    ///
    /// @throws StoreException [StoreError#EAGAIN] when the tree has changed where it looked,
    ///     [StoreError#ENOENT] when it is not open, [StoreError#ENOSPC] when it would exceed a
    ///     limit
    void commit(TreeTransaction transaction) throws StoreException {
        List<TreeWatch> due = new ArrayList<>();
        synchronized (lock) {
            requireOpen(transaction.connection());
            if (!end(transaction)) {
                throw new StoreException(StoreError.ENOENT, "transaction is not open");
            }
            Draft draft = transaction.draft();
            if (version != transaction.baseVersion()) {
                if (transaction.conflictsWith(root)) {
                    throw new StoreException(StoreError.EAGAIN, "transaction conflicts");
                }
                draft = new Draft(root, this::nextGeneration);
                transaction.changes().forEach(draft::apply);
            }
            DomId domain = transaction.connection().domain();
            int more = draft.ownedDelta(domain);
            if (limited(transaction.connection())
                    && more > 0
                    && account(domain).nodes + more > limits.maxNodes()) {
                throw new StoreException(StoreError.ENOSPC, "nodes of domain " + domain);
            }
            publish(draft, transaction.changes(), due);
        }
        schedule(due);
    }

    void close(TreeConnection connection) {
        synchronized (lock) {
            connection.markClosed();
            List.copyOf(connection.watches()).forEach(this::unwatch);
            List.copyOf(connection.transactions()).forEach(this::end);
        }
    }

    /// Makes the tree as it is now fail loudly when its books do not balance: for tests.
    void checkBooks() {
        synchronized (lock) {
            Map<DomId, Integer> counted = new HashMap<>();
            NodeWalk.walk(
                    root, (path, node) -> counted.merge(node.owner(), 1, Integer::sum) != null);
            accounts.forEach(
                    (domain, account) -> {
                        int found = counted.getOrDefault(domain, 0);
                        if (account.nodes != found) {
                            throw new IllegalStateException(
                                    "domain " + domain + ": " + account.nodes + " != " + found);
                        }
                    });
            for (Account account : accounts.values()) {
                if (account.transactions == 0 && account.transactionBytes != 0) {
                    throw new IllegalStateException(
                            account.transactionBytes + " bytes of no transaction");
                }
            }
            int registered = accounts.values().stream().mapToInt(a -> a.watches).sum();
            if (registered != watches.count()) {
                throw new IllegalStateException("watches " + registered + " != " + watches.count());
            }
        }
    }

    int watchPlaces() {
        synchronized (lock) {
            return watches.placeCount();
        }
    }

    // Parts, called with the lock.

    private Node view(@Nullable TreeTransaction transaction) {
        return transaction == null ? root : transaction.draft().root();
    }

    /// The one place that checks rights.
    ///
    /// @return null when there is no such node and the caller may know that
    private @Nullable Node permitted(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            StorePath path,
            boolean toWrite)
            throws StoreException {
        requireOpen(connection);
        if (transaction != null) {
            touch(connection, transaction, path);
        }
        Node view = view(transaction);
        Node node = Draft.find(view, path.parts());
        if (node == null && transaction != null) {
            touchNearest(connection, transaction, path);
        }
        Node asked = node == null ? Draft.nearest(view, path) : node;
        DomId domain = connection.domain();
        if (!(toWrite ? asked.writableBy(domain) : asked.readableBy(domain))) {
            throw new StoreException(
                    StoreError.EACCES,
                    (toWrite ? "write " : "read ") + path + " as domain " + domain);
        }
        return node;
    }

    private void touch(TreeConnection connection, TreeTransaction transaction, StorePath path)
            throws StoreException {
        if (!transaction.open()) {
            throw new StoreException(StoreError.ENOENT, "transaction is not open");
        }
        if (transaction.hasTouched(path.text())) {
            return;
        }
        int most =
                limited(connection)
                        ? limits.maxTransactionNodes()
                        : MAX_TRANSACTION_NODES_OF_DOMAIN_0;
        if (transaction.touchedCount() >= most) {
            throw new StoreException(StoreError.ENOSPC, "transaction touches " + most + " nodes");
        }
        charge(connection, transaction, NODE_BYTES + path.text().length());
        transaction.touch(path);
    }

    /// Counts memory of open transactions against their domain.
    private void charge(TreeConnection connection, TreeTransaction transaction, int bytes)
            throws StoreException {
        Account account = account(connection.domain());
        if (limited(connection)
                && account.transactionBytes + bytes > limits.maxTransactionBytes()) {
            throw new StoreException(
                    StoreError.ENOSPC, account.transactionBytes + " bytes in transactions");
        }
        account.transactionBytes += bytes;
        transaction.charge(bytes);
    }

    /// What a missing node allows, and whether it is still missing, hangs on the nearest node
    /// above.
    private void touchNearest(
            TreeConnection connection, TreeTransaction transaction, StorePath path)
            throws StoreException {
        int missing = transaction.draft().missing(path);
        touch(connection, transaction, path.above(missing));
    }

    private void applyMaking(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            Change change,
            int bytes,
            List<TreeWatch> due)
            throws StoreException {
        Draft draft =
                transaction == null ? new Draft(root, this::nextGeneration) : transaction.draft();
        int making = draft.missing(change.path());
        if (making > 0) {
            DomId domain = connection.domain();
            int nodes = account(domain).nodes + draft.ownedDelta(domain) + making;
            if (limited(connection) && nodes > limits.maxNodes()) {
                throw new StoreException(
                        StoreError.ENOSPC, "domain " + domain + " would own " + nodes + " nodes");
            }
        }
        apply(connection, transaction, change, bytes, due);
    }

    private void apply(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            Change change,
            int bytes,
            List<TreeWatch> due)
            throws StoreException {
        if (transaction == null) {
            Draft draft = new Draft(root, this::nextGeneration);
            draft.apply(change);
            publish(draft, List.of(change), due);
            return;
        }
        if (limited(connection) && transaction.changes().size() >= limits.maxTransactionNodes()) {
            throw new StoreException(StoreError.ENOSPC, "changes in one transaction");
        }
        StorePath path = change.path();
        int kept = NODE_BYTES + path.text().length() + LEVEL_BYTES * path.parts().size();
        charge(connection, transaction, kept + bytes);
        transaction.add(change);
    }

    private void publish(Draft draft, List<Change> changes, List<TreeWatch> due) {
        Node before = root;
        root = draft.root();
        version++;
        draft.ownedDelta().forEach((domain, more) -> account(domain).nodes += more);
        Set<String> fired = new HashSet<>();
        for (Change change : changes) {
            StorePath path = change.path();
            if (changes.size() == 1 || fired.add(path.text())) {
                fire(path, before, due);
            }
            if (change instanceof Change.Remove) {
                fireBelow(path, before, due);
            }
        }
    }

    private void fire(StorePath path, Node before, List<TreeWatch> due) {
        watches.onTheWayTo(
                path,
                watch -> {
                    DomId domain = watch.connection().domain();
                    if (maySee(domain, path.parts(), before)) {
                        note(watch, watch.storePath().event(path), due);
                    }
                });
    }

    /// A watch below a removed node hears of its own path; those above hear of the removed node
    /// only.
    private void fireBelow(StorePath removed, Node before, List<TreeWatch> due) {
        watches.below(
                removed,
                watch -> {
                    Node node = Draft.find(before, watch.storePath().parts());
                    if (node != null && node.readableBy(watch.connection().domain())) {
                        note(watch, watch.path(), due);
                    }
                });
    }

    /// An event tells that a node exists: only for who may read it, before or after the change, or
    /// its folder (hostile catalogue H-105).
    private boolean maySee(DomId domain, List<String> parts, Node before) {
        return readable(domain, before, parts)
                || readable(domain, root, parts)
                || (!parts.isEmpty() && readable(domain, root, parts.subList(0, parts.size() - 1)));
    }

    private static boolean readable(DomId domain, Node root, List<String> parts) {
        Node node = Draft.find(root, parts);
        return node != null && node.readableBy(domain);
    }

    private void fireSpecial(String name, List<TreeWatch> due) {
        StorePath path = new StorePath(name, List.of("/" + name), 0);
        watches.onTheWayTo(path, watch -> note(watch, name, due));
    }

    private static void note(TreeWatch watch, String event, List<TreeWatch> due) {
        if (watch.events().note(event)) {
            due.add(watch);
        }
    }

    /// Outside the lock: an executor may run its task at once.
    private static void schedule(List<TreeWatch> due) {
        for (TreeWatch watch : due) {
            watch.events().schedule();
        }
    }

    private List<Change> changesAtDeath(DomId domain) {
        List<Change> changes = new ArrayList<>();
        NodeWalk.walk(
                root,
                (path, node) -> {
                    if (node.owner().equals(domain)) {
                        changes.add(new Change.Remove(path));
                        return false;
                    }
                    Predicate<Permission> dead = permission -> permission.domain().equals(domain);
                    if (node.permissions().stream().anyMatch(dead)) {
                        List<Permission> left =
                                node.permissions().stream().filter(dead.negate()).toList();
                        changes.add(new Change.SetPermissions(path, left));
                    }
                    return true;
                });
        return changes;
    }

    /// Closes a transaction in the books.
    ///
    /// @return whether it was open
    private boolean end(TreeTransaction transaction) {
        boolean wasOpen = transaction.end();
        if (wasOpen) {
            transaction.connection().transactions().remove(transaction);
            Account account = account(transaction.connection().domain());
            account.transactions--;
            account.transactionBytes -= transaction.bytes();
        }
        return wasOpen;
    }

    private static void requireOpen(TreeConnection connection) throws StoreException {
        if (connection.closed()) {
            throw new StoreException(StoreError.EIO, "the connection to the store is closed");
        }
    }

    private static boolean limited(TreeConnection connection) {
        return !connection.domain().equals(DomId.ZERO);
    }

    private Account account(DomId domain) {
        return accounts.computeIfAbsent(domain, d -> new Account());
    }

    private long nextGeneration() {
        return ++generation;
    }

    static byte[] bytes(String value) {
        return value.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] value) {
        return new String(value, StandardCharsets.UTF_8);
    }
}
