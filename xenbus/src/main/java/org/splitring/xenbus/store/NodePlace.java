package org.splitring.xenbus.store;

import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/// Where a node is: the same object in every version of the tree, from the node's making to its
/// removal. Its path is put together only for whoever asks. Immutable.
final class NodePlace {
    static final NodePlace ROOT = new NodePlace(null, "", 0);

    /// The order of [NodeWalk]: what is above first, then siblings in the order of their making.
    static final Comparator<NodePlace> WALK_ORDER = NodePlace::compareInWalk;

    private final @Nullable NodePlace above;
    private final String name;
    private final int depth;
    private final long birth;

    /// @param birth number of the node's making
    NodePlace(@Nullable NodePlace above, String name, long birth) {
        this.above = above;
        this.name = name;
        this.depth = above == null ? 0 : above.depth + 1;
        this.birth = birth;
    }

    /// The last part of the path; of the root the empty name.
    String name() {
        return name;
    }

    /// Number of the node's making, for the order of listings.
    long birth() {
        return birth;
    }

    boolean root() {
        return above == null;
    }

    /// Whether it is this place or one below it.
    boolean holds(NodePlace other) {
        return other.depth >= depth && other.lifted(depth) == this;
    }

    StorePath path() {
        Deque<String> names = new ArrayDeque<>();
        for (NodePlace at = this; at.above != null; at = at.above) {
            names.push(at.name);
        }
        return StorePath.ROOT.below(names);
    }

    private NodePlace lifted(int toDepth) {
        NodePlace at = this;
        while (at.depth > toDepth && at.above != null) {
            at = at.above;
        }
        return at;
    }

    private static int compareInWalk(NodePlace one, NodePlace two) {
        int depth = Math.min(one.depth, two.depth);
        NodePlace left = one.lifted(depth);
        NodePlace right = two.lifted(depth);
        if (left == right) {
            return Integer.compare(one.depth, two.depth);
        }
        while (left.above != null && right.above != null && left.above != right.above) {
            left = left.above;
            right = right.above;
        }
        return Long.compare(left.birth, right.birth);
    }
}
