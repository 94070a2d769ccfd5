package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// Random operations against a model that is as plain as can be: a map from path to node.
/// Transactions must behave as if each had run alone at the moment of its commit.
class StoreModelTest {
    private static final List<DomId> DOMAINS = List.of(DomId.ZERO, new DomId(1), new DomId(2));

    private enum Kind {
        READ,
        LIST,
        WRITE,
        MAKE,
        REMOVE,
        GET_PERMISSIONS,
        SET_PERMISSIONS
    }

    private record Operation(
            DomId domain, Kind kind, String path, String value, List<Permission> permissions) {}

    private record ModelNode(String value, List<Permission> permissions) {
        boolean allows(DomId domain, boolean write) {
            if (domain.value() == 0 || domain.equals(permissions.getFirst().domain())) {
                return true;
            }
            Permission.Access access = permissions.getFirst().access();
            for (Permission permission : permissions.subList(1, permissions.size())) {
                if (permission.domain().equals(domain)) {
                    access = permission.access();
                    break;
                }
            }
            return write ? access.writes() : access.reads();
        }
    }

    /// The plain tree.
    private static final class Model {
        final Map<String, ModelNode> nodes = new LinkedHashMap<>(); // in the order of their making

        Model() {
            nodes.put("/", new ModelNode("", List.of(Permission.none(DomId.ZERO))));
        }

        Model(Model other) {
            nodes.putAll(other.nodes);
        }

        static String parent(String path) {
            int slash = path.lastIndexOf('/');
            return slash <= 0 ? "/" : path.substring(0, slash);
        }

        static boolean under(String path, String folder) {
            return path.equals(folder) || folder.equals("/") || path.startsWith(folder + "/");
        }

        String apply(Operation op) {
            ModelNode node = nodes.get(op.path);
            String near = op.path;
            while (!nodes.containsKey(near)) {
                near = parent(near);
            }
            boolean writes =
                    op.kind != Kind.READ && op.kind != Kind.LIST && op.kind != Kind.GET_PERMISSIONS;
            ModelNode nearest = nodes.get(near);
            if (nearest == null || !nearest.allows(op.domain, writes)) {
                return "EACCES";
            }
            return switch (op.kind) {
                case READ -> node == null ? "ENOENT" : "value " + node.value;
                case LIST -> node == null ? "ENOENT" : children(op.path).toString();
                case GET_PERMISSIONS -> node == null ? "ENOENT" : node.permissions.toString();
                case WRITE, MAKE -> {
                    if (node != null && op.kind == Kind.WRITE) {
                        nodes.put(op.path, new ModelNode(op.value, node.permissions));
                    } else if (node == null) {
                        make(op, nearest);
                    }
                    yield "OK";
                }
                case REMOVE -> {
                    if (op.path.equals("/")) {
                        yield "EINVAL";
                    }
                    if (node == null) {
                        yield nodes.containsKey(parent(op.path)) ? "OK" : "ENOENT";
                    }
                    nodes.keySet().removeIf(path -> under(path, op.path));
                    yield "OK";
                }
                case SET_PERMISSIONS -> {
                    if (node == null) {
                        yield "ENOENT";
                    }
                    DomId owner = node.permissions.getFirst().domain();
                    if (op.domain.value() != 0 && !op.domain.equals(owner)) {
                        yield "EACCES";
                    }
                    if (op.domain.value() != 0
                            && !op.permissions.getFirst().domain().equals(owner)) {
                        yield "EPERM";
                    }
                    nodes.put(op.path, new ModelNode(node.value, op.permissions));
                    yield "OK";
                }
            };
        }

        private void make(Operation op, ModelNode nearest) {
            List<Permission> permissions = new ArrayList<>(nearest.permissions);
            if (op.domain.value() != 0) {
                permissions.set(
                        0, new Permission(nearest.permissions.getFirst().access(), op.domain));
            }
            String[] parts = op.path.substring(1).split("/", -1);
            StringBuilder path = new StringBuilder();
            for (int i = 0; i < parts.length; i++) {
                path.append('/').append(parts[i]);
                String value = i == parts.length - 1 && op.kind == Kind.WRITE ? op.value : "";
                nodes.putIfAbsent(path.toString(), new ModelNode(value, List.copyOf(permissions)));
            }
        }

        List<String> children(String folder) {
            List<String> names = new ArrayList<>();
            for (String path : nodes.keySet()) {
                if (!path.equals("/") && parent(path).equals(folder)) {
                    names.add(path.substring(path.lastIndexOf('/') + 1));
                }
            }
            return names;
        }
    }

    private record Running(
            TreeConnection connection,
            TreeTransaction transaction,
            List<Operation> operations,
            List<String> results,
            long begunAt) {}

    private record Watching(DomId domain, String path, List<String> events) {}

    private StoreTree tree = new StoreTree();
    private final List<TreeConnection> connections = new ArrayList<>();
    private Model model = new Model();

    @Test
    void randomOperationsAgreeWithThePlainModel() throws StoreException {
        run(4580437457560L, 12_000); // a missing node's rights come from above
        run(System.nanoTime(), 30_000);
    }

    @Test
    @Tag("long")
    void manyRandomOperationsAgreeWithThePlainModel() throws StoreException {
        run(System.nanoTime(), 3_000_000);
    }

    private void run(long seed, int steps) throws StoreException {
        System.out.println("StoreModelTest seed " + seed);
        Random random = new Random(seed);
        tree = new StoreTree();
        model = new Model();
        connections.clear();
        for (DomId domain : DOMAINS) {
            connections.add(tree.connect(domain, Runnable::run));
        }
        List<Watching> watching = watchSomePaths();
        List<Running> running = new ArrayList<>();
        int committed = 0;
        int conflicts = 0;
        long changes = 0;
        for (int step = 0; step < steps; step++) {
            String at = "seed " + seed + " step " + step;
            int dice = random.nextInt(100);
            if (dice < 4 && running.size() < 5) {
                TreeConnection connection = connections.get(random.nextInt(3));
                running.add(
                        new Running(
                                connection,
                                tree.start(connection),
                                new ArrayList<>(),
                                new ArrayList<>(),
                                changes));
            } else if (dice < 8 && !running.isEmpty()) {
                Running one = running.remove(random.nextInt(running.size()));
                if (random.nextInt(5) == 0) {
                    tree.drop(one.transaction);
                } else if (commit(one)) {
                    agreesWithRunningAlone(one, at);
                    committed++;
                    changes++;
                } else {
                    assertTrue(one.begunAt != changes, "conflict with nobody, " + at);
                    conflicts++;
                }
            } else if (dice < 50 && !running.isEmpty()) {
                Running one = running.get(random.nextInt(running.size()));
                Operation op = operation(random, one.connection.domain());
                one.operations.add(op);
                one.results.add(perform(one.connection, one.transaction, op));
            } else {
                TreeConnection connection = connections.get(random.nextInt(3));
                Operation op = operation(random, connection.domain());
                watching.forEach(watch -> watch.events.clear());
                Model before = new Model(model);
                String expected = model.apply(op);
                assertEquals(expected, perform(connection, null, op), op + ", " + at);
                boolean changed =
                        !model.nodes.equals(before.nodes)
                                || (expected.equals("OK")
                                        && op.kind != Kind.MAKE
                                        && before.nodes.containsKey(op.path));
                changes += changed ? 1 : 0;
                for (Watching watch : watching) {
                    assertEquals(
                            changed ? expectedEvents(watch, op, before) : List.of(),
                            watch.events,
                            watch.domain + " on " + watch.path + ": " + op + ", " + at);
                }
            }
            if (step % 500 == 0) {
                sameTree(at);
            }
        }
        sameTree("seed " + seed + " at the end");
        tree.checkBooks();
        assertTrue(committed > 0 && conflicts > 0, committed + " and " + conflicts);
    }

    private List<Watching> watchSomePaths() throws StoreException {
        List<Watching> watching = new ArrayList<>();
        for (TreeConnection connection : connections) {
            for (String path : List.of("/", "/a", "/a/b", "/b/a/c")) {
                Watching watch = new Watching(connection.domain(), path, new ArrayList<>());
                connection.watch(path, watch.events::add);
                watching.add(watch);
            }
        }
        return watching;
    }

    private List<String> expectedEvents(Watching watch, Operation op, Model before) {
        List<String> events = new ArrayList<>();
        if (Model.under(op.path, watch.path)) {
            if (readable(before, op.path, watch.domain)
                    || readable(model, op.path, watch.domain)
                    || readable(model, Model.parent(op.path), watch.domain)) {
                events.add(op.path);
            }
        } else if (op.kind == Kind.REMOVE
                && Model.under(watch.path, op.path)
                && before.nodes.containsKey(watch.path)
                && (readable(before, watch.path, watch.domain)
                        || readable(before, Model.parent(watch.path), watch.domain))) {
            events.add(watch.path);
        }
        return events;
    }

    private static boolean readable(Model model, String path, DomId domain) {
        ModelNode node = model.nodes.get(path);
        return node != null && node.allows(domain, false);
    }

    private boolean commit(Running one) throws StoreException {
        try {
            tree.commit(one.transaction);
            return true;
        } catch (StoreException e) {
            assertEquals(StoreError.EAGAIN, e.error());
            return false;
        }
    }

    /// What the transaction saw and did is what it would see and do alone, now.
    private void agreesWithRunningAlone(Running one, String at) {
        for (int i = 0; i < one.operations.size(); i++) {
            Operation op = one.operations.get(i);
            assertEquals(model.apply(op), one.results.get(i), op + " in a transaction, " + at);
        }
    }

    private void sameTree(String at) throws StoreException {
        TreeSet<String> expected = new TreeSet<>();
        model.nodes.forEach((path, node) -> expected.add(path + " " + node));
        TreeSet<String> found = new TreeSet<>();
        List<String> open = new ArrayList<>(List.of("/"));
        while (!open.isEmpty()) {
            String path = open.removeLast();
            Node node = tree.nodeToRead(connections.getFirst(), null, path);
            if (node == null) {
                throw new AssertionError(path + " is gone, " + at);
            }
            found.add(path + " " + new ModelNode(StoreTree.text(node.value()), node.permissions()));
            List<String> names = node.childNames();
            assertEquals(model.children(path), names, path + ", " + at);
            names.forEach(name -> open.add((path.equals("/") ? "" : path) + "/" + name));
        }
        assertEquals(expected, found, at);
    }

    private static Operation operation(Random random, DomId domain) {
        StringBuilder path = new StringBuilder();
        int depth = random.nextInt(20) == 0 ? 0 : 1 + random.nextInt(4);
        for (int i = 0; i < depth; i++) {
            path.append('/').append((char) ('a' + random.nextInt(3)));
        }
        Kind kind = Kind.values()[random.nextInt(Kind.values().length)];
        List<Permission> permissions = new ArrayList<>();
        int count = 1 + random.nextInt(3);
        for (int i = 0; i < count; i++) {
            Permission.Access[] all = Permission.Access.values();
            permissions.add(
                    new Permission(
                            all[random.nextInt(all.length)],
                            DOMAINS.get(random.nextInt(DOMAINS.size()))));
        }
        return new Operation(
                domain,
                kind,
                depth == 0 ? "/" : path.toString(),
                Integer.toString(random.nextInt(10)),
                permissions);
    }

    private String perform(
            TreeConnection connection, @Nullable TreeTransaction transaction, Operation op) {
        try {
            switch (op.kind) {
                case WRITE ->
                        tree.write(connection, transaction, op.path, StoreTree.bytes(op.value));
                case MAKE -> tree.makeNode(connection, transaction, op.path);
                case REMOVE -> tree.remove(connection, transaction, op.path);
                case SET_PERMISSIONS ->
                        tree.setPermissions(connection, transaction, op.path, op.permissions);
                case READ, LIST, GET_PERMISSIONS -> {
                    Node node = tree.nodeToRead(connection, transaction, op.path);
                    if (node == null) {
                        return "ENOENT";
                    }
                    return switch (op.kind) {
                        case READ -> "value " + StoreTree.text(node.value());
                        case LIST -> node.childNames().toString();
                        default -> node.permissions().toString();
                    };
                }
            }
            return "OK";
        } catch (StoreException e) {
            return e.error().name();
        }
    }
}
