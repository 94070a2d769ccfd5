package org.splitring.xenbus.store;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.LongSupplier;
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

    private static final int MAX_PERMISSIONS = 256;

    private final Object lock = new Object();
    private final LongSupplier nanoClock;
    private final StoreDomains domains;
    private final WatchTable watches = new WatchTable();
    private final GuestLimits limits;
    private final OpenTransactions transactions = new OpenTransactions();
    private final RightsIndex rights;
    private long generation;
    private long version;
    private Node root;

    public StoreTree() {
        this(StoreLimits.DEFAULT);
    }

    /// @param limits of each guest that has none of its own
    public StoreTree(StoreLimits limits) {
        this(StoreSnapshot.empty(limits), System::nanoTime);
    }

    /// A store that goes on where another has ended.
    StoreTree(StoreSnapshot begin, LongSupplier nanoClock) {
        this.nanoClock = nanoClock;
        domains = new StoreDomains(lock, begin.limits());
        limits = new GuestLimits(domains);
        domains.restore(begin.specials(), begin.domains());
        generation = begin.generation();
        root = begin.root();
        NodeWalk.walk(
                root,
                node -> {
                    DomainAccount owner = domains.account(node.owner());
                    owner.owned = owner.owned.plus(Usage.of(node));
                    return true;
                });
        rights = RightsIndex.of(root);
    }

    /// A connection with the rights of `domain`.
    ///
    /// @param watchExecutor runs the listeners of its watches
    public Store connection(DomId domain, Executor watchExecutor) {
        return connect(domain, watchExecutor);
    }

    TreeConnection connect(DomId domain, Executor watchExecutor) {
        synchronized (lock) {
            TreeConnection connection =
                    new TreeConnection(this, domains.account(domain), watchExecutor);
            connection.account().connections.add(connection);
            return connection;
        }
    }

    /// Says that a domain exists. Watches on `@introduceDomain` fire.
    public void introduce(DomId domain) {
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        synchronized (lock) {
            DomainAccount account = domains.account(domain);
            if (!account.introduced) {
                account.introduced = true;
                domains.changed();
                announcements.domain(StoreDomains.INTRODUCED, domain);
            }
        }
        announcements.send();
    }

    /// Forgets a domain that is gone: its number may come again, so its connections end, nodes it
    /// owned are removed with what is below them, and no right that named it stays (hostile
    /// catalogue H-106, H-107). Watches on `@releaseDomain` fire.
    public void release(DomId domain) {
        if (domain.equals(DomId.ZERO)) {
            throw new IllegalArgumentException("domain 0 cannot be released");
        }
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        List<Runnable> lost = new ArrayList<>();
        synchronized (lock) {
            DomainAccount account = domains.account(domain);
            for (TreeConnection connection : List.copyOf(account.connections)) {
                endConnection(connection);
                Executor executor = connection.watchExecutor();
                connection.markLost().forEach(told -> lost.add(() -> executor.execute(told)));
            }
            List<Change> changes = DomainDeath.changes(root, rights.naming(domain), domain);
            Draft draft = draft(DomId.ZERO);
            changes.forEach(draft::apply);
            if (!changes.isEmpty()) {
                // Nobody hears of the rights: they were nobody's but the dead's.
                publish(
                        draft,
                        changes.stream().filter(Change.Remove.class::isInstance).toList(),
                        announcements);
            }
            domains.forget(domain);
            if (account.introduced) {
                announcements.domain(StoreDomains.RELEASED, domain);
            }
        }
        lost.forEach(Runnable::run);
        announcements.send();
    }

    /// What a domain has of the store.
    ///
    /// @param bytes of nodes, watches and open transactions
    public record DomainUse(
            int nodes, long bytes, int watches, int transactions, int connections) {}

    /// What a domain has of the store now.
    public DomainUse use(DomId domain) {
        synchronized (lock) {
            DomainAccount account = domains.account(domain);
            return new DomainUse(
                    account.owned.nodes(),
                    account.bytes(),
                    account.watches,
                    account.transactions,
                    account.connections.size());
        }
    }

    /// A limit of the connection's domain; 0 for none.
    int limit(TreeConnection connection, Quota quota) {
        synchronized (lock) {
            return connection.account().limits(domains.limitsOfAll()).get(quota);
        }
    }

    StoreDomains domains() {
        return domains;
    }

    /// Grows with each change of what a dump holds.
    long version() {
        synchronized (lock) {
            return version + domains.changes();
        }
    }

    /// All that outlives the server, at this moment.
    StoreSnapshot snapshot() {
        synchronized (lock) {
            return new StoreSnapshot(
                    version(),
                    generation,
                    root,
                    domains.limitsOfAll(),
                    domains.introducedGuests(),
                    domains.specials());
        }
    }

    /// How long requests of the connection's domain are to be left alone ([ConflictCredit]).
    long waitNanos(TreeConnection connection) {
        synchronized (lock) {
            return connection.account().credit.waitNanos(nanoClock.getAsLong());
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
        StorePath parsed = parse(connection, path);
        synchronized (lock) {
            return permitted(connection, transaction, parsed, false);
        }
    }

    /// Sets a node's value.
    ///
    /// @param value belongs to the tree from here on
    void write(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            String path,
            byte[] value)
            throws StoreException {
        StorePath parsed = parse(connection, path);
        if (path.length() + 1 + value.length > MAX_PAYLOAD) {
            throw new StoreException(
                    StoreError.E2BIG, "write of " + value.length + " bytes to " + parsed);
        }
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        synchronized (lock) {
            permitted(connection, transaction, parsed, true);
            checkMaking(connection, transaction, parsed, value.length);
            Change change = new Change.Write(parsed, value);
            apply(connection, transaction, change, announcements);
        }
        announcements.send();
    }

    void makeNode(TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        StorePath parsed = parse(connection, path);
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        synchronized (lock) {
            if (permitted(connection, transaction, parsed, true) != null) {
                return;
            }
            checkMaking(connection, transaction, parsed, 0);
            apply(connection, transaction, new Change.Make(parsed), announcements);
        }
        announcements.send();
    }

    /// @throws StoreException [StoreError#ENOENT] when the node above is missing too; when only the
    ///     node itself is, there is nothing to do, as Xen's daemon has it
    void remove(TreeConnection connection, @Nullable TreeTransaction transaction, String path)
            throws StoreException {
        StorePath parsed = parse(connection, path);
        Announcements announcements = new Announcements(watches, domains, nanoClock);
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
                transaction.touch(parsed.above(1)); // its list changes
                transaction.touchAll(node);
            }
            apply(connection, transaction, new Change.Remove(parsed), announcements);
        }
        announcements.send();
    }

    void setPermissions(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            String path,
            List<Permission> permissions)
            throws StoreException {
        StorePath parsed = parse(connection, path);
        if (permissions.isEmpty()) {
            throw new StoreException(StoreError.EINVAL, "no permissions for " + parsed);
        }
        checkPermissionCount(connection, permissions.size());
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        synchronized (lock) {
            Node node = permitted(connection, transaction, parsed, true);
            if (node == null) {
                throw new StoreException(StoreError.ENOENT, "set permissions of " + parsed);
            }
            if (!connection.owns(node)) {
                touchFolder(transaction, parsed);
                throw new StoreException(StoreError.EACCES, "not the owner of " + parsed);
            }
            if (limited(connection) && !permissions.getFirst().domain().equals(node.owner())) {
                throw new StoreException(StoreError.EPERM, "only domain 0 gives nodes away");
            }
            allow(
                    transaction,
                    () -> limits.checkRights(connection.account(), node, permissions.size()));
            Change change = new Change.SetPermissions(parsed, List.copyOf(permissions));
            apply(connection, transaction, change, announcements);
        }
        announcements.send();
    }

    /// Whether a node may have so many permissions: asked before anything else about them.
    void checkPermissionCount(TreeConnection connection, int count) throws StoreException {
        if (count > MAX_PERMISSIONS) {
            throw new StoreException(StoreError.ENOSPC, count + " permissions");
        }
        synchronized (lock) {
            connection
                    .account()
                    .check(domains.limitsOfAll(), Quota.PERMISSIONS, count, StoreError.ENOSPC);
        }
    }

    /// Sets who may watch domains come or go.
    void setSpecialPermissions(TreeConnection connection, String name, List<Permission> permissions)
            throws StoreException {
        synchronized (lock) {
            requireOpen(connection);
            domains.setSpecialRights(connection.account(), name, permissions);
        }
    }

    /// Registers a watch.
    ///
    /// @param depth how many levels below the path it hears of; [TreeWatch#UNLIMITED] for all
    /// @param events receives them; its path is `path`
    TreeWatch watch(TreeConnection connection, String path, int depth, PendingEvents events)
            throws StoreException {
        StorePath parsed = StorePath.watched(path, connection.domain(), maxPath(connection));
        TreeWatch watch = new TreeWatch(connection, parsed, depth, events);
        synchronized (lock) {
            requireOpen(connection);
            DomainAccount account = connection.account();
            StoreLimits limits = domains.limitsOfAll();
            account.check(limits, Quota.WATCHES, account.watches + 1L, StoreError.E2BIG);
            account.charge(limits, watch.bytes());
            account.watches++;
            watches.add(watch);
            connection.watches().add(watch);
            events.note(path, nanoClock.getAsLong());
        }
        events.schedule();
        return watch;
    }

    void unwatch(TreeWatch watch) {
        synchronized (lock) {
            if (watch.events().end()) {
                watches.remove(watch);
                watch.connection().watches().remove(watch);
                watch.connection().account().watches--;
                watch.connection().account().refund(watch.bytes());
            }
        }
    }

    TreeTransaction start(TreeConnection connection) throws StoreException {
        synchronized (lock) {
            requireOpen(connection);
            DomainAccount account = connection.account();
            account.check(
                    domains.limitsOfAll(),
                    Quota.TRANSACTIONS,
                    account.transactions + 1L,
                    StoreError.ENOSPC);
            long now = nanoClock.getAsLong();
            transactions.expire(now, root);
            TreeTransaction transaction =
                    new TreeTransaction(
                            this, connection, limits, version, now, draft(connection.domain()));
            transactions.begin(transaction);
            return transaction;
        }
    }

    void drop(TreeTransaction transaction) {
        synchronized (lock) {
            transactions.end(transaction);
        }
    }

    /// Ends a transaction and brings all its changes into force, or none.
    ///
    /// @throws StoreException [StoreError#EAGAIN] when the tree has changed where it looked,
    ///     [StoreError#ENOENT] when it is not open, [StoreError#ENOSPC] and [StoreError#ENOMEM]
    ///     when it would exceed a limit
    void commit(TreeTransaction transaction) throws StoreException {
        Announcements announcements = new Announcements(watches, domains, nanoClock);
        synchronized (lock) {
            requireOpen(transaction.connection());
            if (!transactions.end(transaction)) {
                throw new StoreException(StoreError.ENOENT, "transaction is not open");
            }
            transaction.requireWhole();
            transaction.requireNotExpired();
            Draft draft = transaction.draft();
            if (version != transaction.baseVersion()) {
                List<Node> conflicts = transaction.conflictsWith(root);
                if (!conflicts.isEmpty()) {
                    conflicts.forEach(node -> blame(node, transaction.connection().domain()));
                    throw new StoreException(StoreError.EAGAIN, "transaction conflicts");
                }
                draft = draft(transaction.connection().domain());
                transaction.changes().forEach(draft::apply);
            }
            if (!transaction.changes().isEmpty()) {
                limits.checkOwned(transaction.connection().account(), draft);
                publish(draft, transaction.changes(), announcements);
            }
        }
        announcements.send();
    }

    /// Whoever changed a node last has spoilt somebody's transaction.
    private void blame(Node node, DomId victim) {
        DomainAccount changer = domains.known(node.changer());
        if (changer != null && changer.isLimited() && !changer.domain.equals(victim)) {
            changer.credit.pay(node.generation(), nanoClock.getAsLong());
        }
    }

    /// Ends a connection; ending twice does nothing.
    void close(TreeConnection connection) {
        synchronized (lock) {
            endConnection(connection);
        }
    }

    private void endConnection(TreeConnection connection) {
        connection.markClosed();
        connection.account().connections.remove(connection);
        List.copyOf(connection.watches()).forEach(this::unwatch);
        List.copyOf(connection.transactions()).forEach(transactions::end);
    }

    void onLost(TreeConnection connection, Runnable listener) {
        boolean lost;
        synchronized (lock) {
            lost = connection.lost();
            if (!lost) {
                connection.lostListeners().add(listener);
            }
        }
        if (lost) {
            connection.watchExecutor().execute(listener);
        }
    }

    /// Fails loudly when the books do not balance.
    void checkBooks() {
        synchronized (lock) {
            StoreBooks.check(root, rights, domains, watches);
        }
    }

    int watchPlaces() {
        synchronized (lock) {
            return watches.placeCount();
        }
    }

    // Parts, called with the lock.

    Node root() {
        return root;
    }

    /// Changes with each change of the tree.
    long treeVersion() {
        return version;
    }

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
            transaction.touch(path);
        }
        Node node = Draft.find(view(transaction), path.parts());
        if (node == null && transaction != null) {
            transaction.touchNearest(path);
        }
        Node asked = node == null ? Draft.nearest(view(transaction), path.parts()) : node;
        if (!(toWrite ? connection.mayWrite(asked) : connection.mayRead(asked))) {
            if (node != null) {
                touchFolder(transaction, path);
            }
            throw new StoreException(
                    StoreError.EACCES,
                    (toWrite ? "write " : "read ") + path + " as domain " + connection.domain());
        }
        return node;
    }

    /// A transaction that was denied a node depends on the folder too, as with Xen's daemon.
    private static void touchFolder(@Nullable TreeTransaction transaction, StorePath path)
            throws StoreException {
        if (transaction != null && !path.root()) {
            transaction.touch(path.above(1));
        }
    }

    private void checkMaking(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            StorePath path,
            int bytes)
            throws StoreException {
        allow(
                transaction,
                () ->
                        limits.checkMaking(
                                connection.account(),
                                view(transaction),
                                owned(connection, transaction),
                                path,
                                bytes));
    }

    private static void allow(@Nullable TreeTransaction transaction, TreeTransaction.Limit limit)
            throws StoreException {
        if (transaction == null) {
            limit.check();
        } else {
            transaction.allow(limit);
        }
    }

    /// What the connection's domain owns more in the transaction.
    private static Usage owned(TreeConnection connection, @Nullable TreeTransaction transaction) {
        return transaction == null ? Usage.NONE : transaction.draft().owned(connection.domain());
    }

    /// Makes one change, in a transaction or at once, if the limits allow it.
    private void apply(
            TreeConnection connection,
            @Nullable TreeTransaction transaction,
            Change change,
            Announcements announcements)
            throws StoreException {
        if (transaction == null) {
            Draft draft = draft(connection.domain());
            draft.apply(change);
            limits.checkOwned(connection.account(), draft);
            publish(draft, List.of(change), announcements);
            return;
        }
        transaction.add(change);
    }

    private void publish(Draft draft, List<Change> changes, Announcements announcements) {
        Node before = root;
        root = draft.root();
        version++;
        draft.owned()
                .forEach(
                        (domain, more) -> {
                            DomainAccount account = domains.account(domain);
                            account.owned = account.owned.plus(more);
                            account.warnIfMuch(domains.limitsOfAll());
                        });
        draft.rights().forEach(rights::apply);
        announcements.changed(changes, before, root);
        transactions.expire(nanoClock.getAsLong(), root);
    }

    Draft draft(DomId author) {
        return new Draft(root, this::nextGeneration, author);
    }

    private static void requireOpen(TreeConnection connection) throws StoreException {
        if (connection.closed()) {
            throw new StoreException(StoreError.EIO, "the connection to the store is closed");
        }
    }

    private static boolean limited(TreeConnection connection) {
        return connection.account().isLimited();
    }

    private StorePath parse(TreeConnection connection, String path) throws StoreException {
        return StorePath.node(path, connection.domain(), maxPath(connection));
    }

    private int maxPath(TreeConnection connection) {
        return limited(connection) ? limit(connection, Quota.PATH_MAX) : 0;
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
