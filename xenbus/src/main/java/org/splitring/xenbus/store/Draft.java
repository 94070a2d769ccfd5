package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// A changed copy of the tree that nobody sees yet, with the account of who owns how many nodes
/// more or less. Nothing is applied to the tree before the whole draft is known to be allowed.
///
/// No walk recurses: a path of 3072 characters can be 1536 levels deep.
final class Draft {
    private static final byte[] NO_BYTES = {};

    private final LongSupplier generations;
    private final DomId author;
    private final Map<DomId, Usage> owned = new HashMap<>();
    private final List<RightsIndex.Step> rights = new ArrayList<>();
    private Node root;

    /// @param generations gives a number that was never given before
    /// @param author who makes the changes
    Draft(Node root, LongSupplier generations, DomId author) {
        this.root = root;
        this.generations = generations;
        this.author = author;
    }

    Node root() {
        return root;
    }

    /// What each domain owns more in the draft, or less.
    Map<DomId, Usage> owned() {
        return owned;
    }

    /// Whose rights change, in order.
    List<RightsIndex.Step> rights() {
        return rights;
    }

    Usage owned(DomId domain) {
        return owned.getOrDefault(domain, Usage.NONE);
    }

    static @Nullable Node find(Node root, List<String> parts) {
        Node at = root;
        for (int i = 0; i < parts.size(); i++) {
            at = at.children().get(parts.get(i));
            if (at == null) {
                return null;
            }
        }
        return at;
    }

    /// The deepest node on a way from the root that exists.
    static Node nearest(Node root, List<String> parts) {
        Node at = root;
        for (String part : parts) {
            Node next = at.children().get(part);
            if (next == null) {
                return at;
            }
            at = next;
        }
        return at;
    }

    /// How many nodes a write at `path` would make.
    int missing(StorePath path) {
        return path.parts().size() + 1 - spine(path).size();
    }

    void apply(Change change) {
        switch (change) {
            case Change.Write write -> put(write.path(), write.value());
            case Change.Make make -> put(make.path(), null);
            case Change.Remove remove -> remove(remove.path());
            case Change.SetPermissions set -> setPermissions(set.path(), set.permissions());
        }
    }

    private void put(StorePath path, byte @Nullable [] value) {
        List<Node> spine = spine(path);
        List<String> parts = path.parts();
        int existing = spine.size() - 1;
        Node deepest = spine.get(existing);
        if (existing == parts.size()) {
            if (value != null) {
                Node changed = deepest.withValue(value, generations.getAsLong(), author);
                own(deepest, changed);
                replace(spine, parts, existing, changed);
            }
            return;
        }
        List<Permission> permissions = inherited(deepest.permissions());
        List<NodePlace> places = new ArrayList<>(parts.size() - existing);
        NodePlace at = deepest.place();
        for (String part : parts.subList(existing, parts.size())) {
            at = new NodePlace(at, part, generations.getAsLong());
            places.add(at);
        }
        Node made = null;
        for (int level = parts.size(); level > existing; level--) {
            NodeMap children =
                    made == null ? NodeMap.EMPTY : NodeMap.EMPTY.with(parts.get(level), made);
            byte[] bytes = made == null && value != null ? value : NO_BYTES;
            NodePlace place = places.get(level - existing - 1);
            made = new Node(bytes, permissions, children, place.birth(), place, author);
            own(null, made);
        }
        if (made == null) {
            throw new IllegalStateException("nothing to make at " + path);
        }
        NodeMap children = deepest.children().with(parts.get(existing), made);
        replace(
                spine,
                parts,
                existing,
                deepest.withChildren(children, generations.getAsLong(), author));
    }

    /// New nodes have the rights of the node above, but a guest owns what it makes.
    private List<Permission> inherited(List<Permission> above) {
        if (author.equals(DomId.ZERO) || above.getFirst().domain().equals(author)) {
            return above;
        }
        List<Permission> permissions = new ArrayList<>(above);
        permissions.set(0, new Permission(above.getFirst().access(), author));
        return List.copyOf(permissions);
    }

    private void remove(StorePath path) {
        List<Node> spine = spine(path);
        List<String> parts = path.parts();
        int last = parts.size() - 1;
        if (last < 0 || spine.size() != parts.size() + 1) {
            return;
        }
        NodeWalk.walk(
                spine.get(last + 1),
                gone -> {
                    own(gone, null);
                    return true;
                });
        Node above = spine.get(last);
        replace(
                spine,
                parts,
                last,
                above.withChildren(
                        above.children().without(parts.get(last)),
                        generations.getAsLong(),
                        author));
    }

    private void setPermissions(StorePath path, List<Permission> permissions) {
        List<Node> spine = spine(path);
        int depth = path.parts().size();
        if (spine.size() != depth + 1) {
            return;
        }
        Node node = spine.get(depth);
        Node changed = node.withPermissions(permissions, generations.getAsLong(), author);
        own(node, changed);
        replace(spine, path.parts(), depth, changed);
    }

    /// Counts a node that becomes another one, that is new, or that goes.
    private void own(@Nullable Node before, @Nullable Node after) {
        if (before != null && after != null && before.isChargedLike(after)) {
            return; // the common case: another value as long as the last one
        }
        if (before != null) {
            Usage less = Usage.NONE.minus(Usage.of(before));
            owned.merge(before.owner(), less, Usage::plus);
        }
        if (after != null) {
            owned.merge(after.owner(), Usage.of(after), Usage::plus);
        }
        List<Permission> had = before == null ? List.of() : before.permissions();
        List<Permission> has = after == null ? List.of() : after.permissions();
        if (!had.equals(has)) {
            NodePlace place = Objects.requireNonNull(before == null ? after : before).place();
            rights.add(new RightsIndex.Step(place, had, has));
        }
    }

    /// Nodes from the root towards `path`, as far as they exist.
    private List<Node> spine(StorePath path) {
        List<Node> spine = new ArrayList<>(path.parts().size() + 1);
        Node at = root;
        spine.add(at);
        for (String part : path.parts()) {
            at = at.children().get(part);
            if (at == null) {
                break;
            }
            spine.add(at);
        }
        return spine;
    }

    /// Puts `node` at `level` of the spine and makes new copies of all nodes above it.
    private void replace(List<Node> spine, List<String> parts, int level, Node node) {
        Node at = node;
        for (int i = level - 1; i >= 0; i--) {
            Node above = spine.get(i);
            at = above.withChildren(above.children().with(parts.get(i), at));
        }
        root = at;
    }
}
