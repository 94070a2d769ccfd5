package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/// The children of a node by name: an immutable balanced tree (AVL), so that a changed copy of a
/// folder with 1000 guests costs ten new objects and old versions stay as they are.
///
/// Its order is that of the names' hashes, and of the names where those are equal: a step down then
/// looks at the entry alone, and not at a text somewhere else in memory, which is most of what a
/// step costs in a large store. Names made to have equal hashes cost their maker some comparing,
/// and no more steps.
final class NodeMap {
    static final NodeMap EMPTY = new NodeMap(null);

    private record Entry(
            String name,
            int hash,
            Node node,
            @Nullable Entry left,
            @Nullable Entry right,
            int height,
            int size,
            int nameBytes) {
        static Entry of(String name, Node node, @Nullable Entry left, @Nullable Entry right) {
            int height = 1 + Math.max(heightOf(left), heightOf(right));
            return new Entry(
                    name,
                    name.hashCode(),
                    node,
                    left,
                    right,
                    height,
                    1 + sizeOf(left) + sizeOf(right),
                    name.length() + 1 + nameBytesOf(left) + nameBytesOf(right));
        }

        /// Where a name is: here (0), to the left (negative), or to the right.
        int order(String sought, int soughtHash) {
            return soughtHash == hash ? sought.compareTo(name) : Integer.compare(soughtHash, hash);
        }

        Entry withNode(Node changed) {
            return new Entry(name, hash, changed, left, right, height, size, nameBytes);
        }
    }

    private final @Nullable Entry top;

    /// Made for whoever asks first. Threads that make it at the same time make the same.
    private @Nullable List<String> namesByBirth;

    private NodeMap(@Nullable Entry top) {
        this.top = top;
    }

    int size() {
        return sizeOf(top);
    }

    /// Names in the order of the making of their nodes.
    List<String> namesByBirth() {
        List<String> names = namesByBirth;
        if (names == null) {
            record Child(String name, long birth) {}
            List<Child> found = new ArrayList<>(size());
            forEach((name, node) -> found.add(new Child(name, node.place().birth())));
            found.sort(Comparator.comparingLong(Child::birth));
            names = found.stream().map(Child::name).toList();
            namesByBirth = names;
        }
        return names;
    }

    /// Bytes of all names, each with a NUL after it.
    int nameBytes() {
        return nameBytesOf(top);
    }

    @Nullable Node get(String name) {
        int hash = name.hashCode();
        Entry at = top;
        while (at != null) {
            int order = at.order(name, hash);
            if (order == 0) {
                return at.node;
            }
            at = order < 0 ? at.left : at.right;
        }
        return null;
    }

    /// @param node in place of the one of that name, or a new one
    NodeMap with(String name, Node node) {
        Entry changed = put(top, name, name.hashCode(), node);
        NodeMap map = new NodeMap(changed);
        if (changed.size == sizeOf(top)) {
            map.namesByBirth = namesByBirth; // the same names in the same places
        }
        return map;
    }

    NodeMap without(String name) {
        return get(name) == null ? this : new NodeMap(drop(top, name, name.hashCode()));
    }

    void forEach(BiConsumer<String, Node> action) {
        visit(top, action);
    }

    // These recurse, but only as deep as a balanced tree is high: 1.44 log2 of the number of
    // children.

    private static void visit(@Nullable Entry at, BiConsumer<String, Node> action) {
        if (at != null) {
            visit(at.left, action);
            action.accept(at.name, at.node);
            visit(at.right, action);
        }
    }

    private static Entry put(@Nullable Entry at, String name, int hash, Node node) {
        if (at == null) {
            return Entry.of(name, node, null, null);
        }
        int order = at.order(name, hash);
        if (order == 0) {
            return at.withNode(node);
        }
        return order < 0
                ? balanced(at, put(at.left, name, hash, node), at.right)
                : balanced(at, at.left, put(at.right, name, hash, node));
    }

    private static @Nullable Entry drop(@Nullable Entry at, String name, int hash) {
        if (at == null) {
            return null;
        }
        int order = at.order(name, hash);
        if (order < 0) {
            return balanced(at, drop(at.left, name, hash), at.right);
        }
        if (order > 0) {
            return balanced(at, at.left, drop(at.right, name, hash));
        }
        if (at.left == null) {
            return at.right;
        }
        if (at.right == null) {
            return at.left;
        }
        Entry next = at.right;
        while (next.left != null) {
            next = next.left;
        }
        return balanced(next, at.left, drop(at.right, next.name, next.hash));
    }

    /// An entry with the name and node of `at` over two subtrees whose heights differ by at most 2.
    private static Entry balanced(Entry at, @Nullable Entry left, @Nullable Entry right) {
        if (left != null && heightOf(left) > heightOf(right) + 1) {
            Entry inner = left.right;
            if (inner == null || heightOf(left.left) >= heightOf(inner)) {
                return Entry.of(
                        left.name, left.node, left.left, Entry.of(at.name, at.node, inner, right));
            }
            return Entry.of(
                    inner.name,
                    inner.node,
                    Entry.of(left.name, left.node, left.left, inner.left),
                    Entry.of(at.name, at.node, inner.right, right));
        }
        if (right != null && heightOf(right) > heightOf(left) + 1) {
            Entry inner = right.left;
            if (inner == null || heightOf(right.right) >= heightOf(inner)) {
                return Entry.of(
                        right.name,
                        right.node,
                        Entry.of(at.name, at.node, left, inner),
                        right.right);
            }
            return Entry.of(
                    inner.name,
                    inner.node,
                    Entry.of(at.name, at.node, left, inner.left),
                    Entry.of(right.name, right.node, inner.right, right.right));
        }
        return Entry.of(at.name, at.node, left, right);
    }

    private static int heightOf(@Nullable Entry entry) {
        return entry == null ? 0 : entry.height;
    }

    private static int sizeOf(@Nullable Entry entry) {
        return entry == null ? 0 : entry.size;
    }

    private static int nameBytesOf(@Nullable Entry entry) {
        return entry == null ? 0 : entry.nameBytes;
    }
}
