package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.wire.XsdSockmsgLayout;

/// What the operations of the wire format do, for one connection. One thread.
final class WireOperations {
    private static final byte[] OK = WireMessage.strings("OK");

    /// @param path absolute: a watch is the same one however its path is given
    private record WatchKey(String path, String token) {}

    private final StoreTree tree;
    private final DomId domain;
    private final TreeConnection store;
    private final ControlOperations control;
    private final Consumer<PendingEvents> whenPending;
    private final Map<Integer, TreeTransaction> transactions = new HashMap<>();
    private final Map<WatchKey, Watch> watches = new HashMap<>();
    private int lastTransactionId;

    /// @param whenPending told, on any thread, when a watch of this connection has an event after
    ///     it had none
    WireOperations(StoreTree tree, DomId domain, Consumer<PendingEvents> whenPending) {
        this.tree = tree;
        this.domain = domain;
        this.whenPending = whenPending;
        this.store = tree.connect(domain, Runnable::run);
        this.control = new ControlOperations(tree);
    }

    /// Tells, on any thread, that the domain was released and the connection has ended with it.
    void onLost(Runnable listener) {
        store.onLost(listener);
    }

    /// How long requests are to be left alone because the domain has spoilt transactions of others.
    long waitNanos() {
        return domain.equals(DomId.ZERO) ? 0 : tree.waitNanos(store);
    }

    /// How many messages may wait for the peer before its requests are left unread.
    int maxUnsent(int ofDomain0) {
        int limit = domain.equals(DomId.ZERO) ? 0 : tree.limit(store, Quota.OUTSTANDING);
        return limit == 0 ? ofDomain0 : limit;
    }

    /// Carries a request out.
    ///
    /// @return the payload of the answer
    byte[] handle(WireMessage request) throws StoreException {
        requireAllowed(request.type());
        boolean ignored =
                request.type() == XsdSockmsgLayout.WATCH
                        || request.type() == XsdSockmsgLayout.UNWATCH;
        if (!ignored) {
            transaction(request); // one that is not open is refused before anything else
        }
        return switch (request.type()) {
            case XsdSockmsgLayout.READ -> read(request);
            case XsdSockmsgLayout.WRITE -> write(request);
            case XsdSockmsgLayout.MKDIR -> {
                store.tree().makeNode(store, transaction(request), only(request));
                yield OK;
            }
            case XsdSockmsgLayout.RM -> {
                store.tree().remove(store, transaction(request), only(request));
                yield OK;
            }
            case XsdSockmsgLayout.DIRECTORY -> directory(request);
            case XsdSockmsgLayout.DIRECTORY_PART -> directoryPart(request);
            case XsdSockmsgLayout.GET_PERMS -> permissions(request);
            case XsdSockmsgLayout.SET_PERMS -> setPermissions(request);
            case XsdSockmsgLayout.WATCH -> watch(request);
            case XsdSockmsgLayout.UNWATCH -> unwatch(request);
            case XsdSockmsgLayout.RESET_WATCHES -> {
                reset();
                yield OK;
            }
            case XsdSockmsgLayout.TRANSACTION_START -> start(request);
            case XsdSockmsgLayout.TRANSACTION_END -> end(request);
            case XsdSockmsgLayout.GET_DOMAIN_PATH ->
                    WireMessage.strings("/local/domain/" + ControlOperations.domain(only(request)));
            default -> control(request);
        };
    }

    private byte[] control(WireMessage request) throws StoreException {
        switch (request.type()) {
            case XsdSockmsgLayout.INTRODUCE -> control.introduce(request.strings());
            case XsdSockmsgLayout.RELEASE -> control.release(only(request));
            case XsdSockmsgLayout.RESUME -> control.resume(only(request));
            case XsdSockmsgLayout.SET_TARGET -> control.setTarget(request.strings());
            case XsdSockmsgLayout.SET_FEATURE -> control.setFeature(request.strings());
            case XsdSockmsgLayout.SET_QUOTA -> control.setQuota(request.strings());
            default -> {
                return WireMessage.strings(
                        switch (request.type()) {
                            case XsdSockmsgLayout.CONTROL -> control.command(request.strings());
                            case XsdSockmsgLayout.IS_DOMAIN_INTRODUCED ->
                                    control.isIntroduced(only(request)) ? "T" : "F";
                            case XsdSockmsgLayout.GET_FEATURE ->
                                    control.getFeature(request.strings());
                            default -> control.getQuota(request.strings());
                        });
            }
        }
        return OK;
    }

    private byte[] read(WireMessage request) throws StoreException {
        return node(request, only(request)).value();
    }

    private byte[] write(WireMessage request) throws StoreException {
        byte[] payload = request.payload();
        int pathEnd = request.indexOfNul();
        if (pathEnd == payload.length) {
            throw new StoreException(StoreError.EINVAL, "no NUL after the path");
        }
        String path = new String(payload, 0, pathEnd, ISO_8859_1);
        byte[] value = Arrays.copyOfRange(payload, pathEnd + 1, payload.length);
        tree.write(store, transaction(request), path, value);
        return OK;
    }

    private byte[] directory(WireMessage request) throws StoreException {
        byte[] names = WireMessage.strings(node(request, only(request)).childNames());
        if (names.length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            throw new StoreException(StoreError.E2BIG, "list of " + names.length + " bytes");
        }
        return names;
    }

    /// A piece of a long list: the folder's generation, then names from an offset in bytes on,
    /// then, with the last of them, an empty name.
    private byte[] directoryPart(WireMessage request) throws StoreException {
        List<String> arguments = request.strings(2);
        long offset = ControlOperations.number(arguments.get(1));
        Node node = node(request, arguments.get(0));
        String generation = Long.toString(node.generation());
        byte[] names = WireMessage.strings(node.childNames());
        int room = XsdSockmsgLayout.PAYLOAD_MAX_BYTES - generation.length() - 2;
        int start = (int) Math.min(offset, names.length);
        int end = start;
        while (end < names.length) {
            int next = end;
            while (names[next] != 0) {
                next++;
            }
            if (next + 1 - start > room) {
                break;
            }
            end = next + 1;
        }
        boolean last = end == names.length;
        byte[] head = WireMessage.strings(generation);
        byte[] part = new byte[head.length + (end - start) + (last ? 1 : 0)];
        System.arraycopy(head, 0, part, 0, head.length);
        System.arraycopy(names, start, part, head.length, end - start);
        return part;
    }

    private byte[] permissions(WireMessage request) throws StoreException {
        List<String> texts = new ArrayList<>();
        for (Permission permission : node(request, only(request)).permissions()) {
            texts.add(permission.toString());
        }
        return WireMessage.strings(texts);
    }

    private byte[] setPermissions(WireMessage request) throws StoreException {
        List<String> arguments = request.strings();
        if (arguments.size() < 2) {
            throw new StoreException(StoreError.EINVAL, "no permissions");
        }
        tree.checkPermissionCount(store, arguments.size() - 1);
        List<Permission> permissions = new ArrayList<>();
        for (String text : arguments.subList(1, arguments.size())) {
            permissions.add(
                    Permission.parse(text)
                            .orElseThrow(
                                    () -> new StoreException(StoreError.EINVAL, "permission")));
        }
        if (arguments.get(0).startsWith("@")) {
            tree.setSpecialPermissions(store, arguments.get(0), permissions);
        } else {
            tree.setPermissions(store, transaction(request), arguments.get(0), permissions);
        }
        return OK;
    }

    private byte[] watch(WireMessage request) throws StoreException {
        List<String> arguments = request.strings();
        if (arguments.size() < 2 || arguments.size() > 3) {
            throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments");
        }
        String path = arguments.get(0);
        String token = arguments.get(1);
        int depth = TreeWatch.UNLIMITED;
        if (arguments.size() == 3) {
            depth = (int) ControlOperations.number(arguments.get(2));
        }
        WatchKey key = new WatchKey(StorePath.absolute(path, domain), token);
        if (watches.containsKey(key)) {
            throw new StoreException(StoreError.EEXIST, "watch " + path);
        }
        // The first event comes after the answer: events are sent in a task of their own.
        watches.put(
                key, tree.watch(store, path, depth, new PendingEvents(path, token, whenPending)));
        return OK;
    }

    private byte[] unwatch(WireMessage request) throws StoreException {
        List<String> arguments = request.strings(2);
        String path = StorePath.absolute(arguments.get(0), domain);
        Watch watch = watches.remove(new WatchKey(path, arguments.get(1)));
        if (watch == null) {
            throw new StoreException(StoreError.ENOENT, "no such watch");
        }
        watch.close();
        return OK;
    }

    /// Drops watches and transactions: what a guest does before it starts anew.
    void reset() {
        watches.values().forEach(Watch::close);
        watches.clear();
        transactions.values().forEach(tree::drop);
        transactions.clear();
    }

    void close() {
        store.close();
    }

    private byte[] start(WireMessage request) throws StoreException {
        if (request.transactionId() != 0) {
            throw new StoreException(StoreError.EBUSY, "transaction in a transaction");
        }
        TreeTransaction transaction = tree.start(store);
        do {
            lastTransactionId++;
        } while (lastTransactionId == 0 || transactions.containsKey(lastTransactionId));
        transactions.put(lastTransactionId, transaction);
        return WireMessage.strings(Integer.toUnsignedString(lastTransactionId));
    }

    private byte[] end(WireMessage request) throws StoreException {
        String how = only(request);
        if (!how.equals("T") && !how.equals("F")) {
            throw new StoreException(StoreError.EINVAL, "neither T nor F");
        }
        TreeTransaction transaction = transactions.remove(request.transactionId());
        if (transaction == null) {
            throw new StoreException(StoreError.ENOENT, "no such transaction");
        }
        if (how.equals("T")) {
            tree.commit(transaction);
        } else {
            tree.drop(transaction);
        }
        return OK;
    }

    private Node node(WireMessage request, String path) throws StoreException {
        Node node = tree.nodeToRead(store, transaction(request), path);
        if (node == null) {
            throw new StoreException(StoreError.ENOENT, "no such node");
        }
        return node;
    }

    private @Nullable TreeTransaction transaction(WireMessage request) throws StoreException {
        if (request.transactionId() == 0) {
            return null;
        }
        TreeTransaction transaction = transactions.get(request.transactionId());
        if (transaction == null) {
            throw new StoreException(StoreError.ENOENT, "no such transaction");
        }
        return transaction;
    }

    private static String only(WireMessage request) throws StoreException {
        return request.string();
    }

    /// @throws StoreException when there is no such operation, or it is not for this domain
    private void requireAllowed(int type) throws StoreException {
        switch (type) {
            case XsdSockmsgLayout.READ,
                    XsdSockmsgLayout.WRITE,
                    XsdSockmsgLayout.MKDIR,
                    XsdSockmsgLayout.RM,
                    XsdSockmsgLayout.DIRECTORY,
                    XsdSockmsgLayout.DIRECTORY_PART,
                    XsdSockmsgLayout.GET_PERMS,
                    XsdSockmsgLayout.SET_PERMS,
                    XsdSockmsgLayout.WATCH,
                    XsdSockmsgLayout.UNWATCH,
                    XsdSockmsgLayout.RESET_WATCHES,
                    XsdSockmsgLayout.TRANSACTION_START,
                    XsdSockmsgLayout.TRANSACTION_END,
                    XsdSockmsgLayout.GET_DOMAIN_PATH -> {}
            case XsdSockmsgLayout.CONTROL,
                    XsdSockmsgLayout.INTRODUCE,
                    XsdSockmsgLayout.RELEASE,
                    XsdSockmsgLayout.RESUME,
                    XsdSockmsgLayout.SET_TARGET,
                    XsdSockmsgLayout.IS_DOMAIN_INTRODUCED,
                    XsdSockmsgLayout.GET_FEATURE,
                    XsdSockmsgLayout.SET_FEATURE,
                    XsdSockmsgLayout.GET_QUOTA,
                    XsdSockmsgLayout.SET_QUOTA -> {
                if (!domain.equals(DomId.ZERO)) {
                    throw new StoreException(StoreError.EACCES, "only for domain 0");
                }
            }
            default -> throw new StoreException(StoreError.ENOSYS, "operation " + type);
        }
    }
}
