package org.splitring.xenbus.store;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;

/// Visits nodes of one version of the tree, each before its children, and children in the order of
/// their making. Does not recurse: a path of 3072 characters can be 1536 levels deep.
final class NodeWalk {
    private static final Comparator<Node> YOUNGEST_FIRST =
            Comparator.comparingLong((Node child) -> child.place().birth()).reversed();

    @FunctionalInterface
    interface Visitor {
        /// Visits one node.
        ///
        /// @return whether to go on below it
        boolean visit(Node node);
    }

    private NodeWalk() {}

    /// Visits the nodes from `start` on.
    static void walk(Node start, Visitor visitor) {
        Deque<Node> open = new ArrayDeque<>();
        open.push(start);
        List<Node> children = new ArrayList<>();
        while (!open.isEmpty()) {
            Node node = open.pop();
            if (visitor.visit(node)) {
                node.children().forEach((name, child) -> children.add(child));
                children.sort(YOUNGEST_FIRST);
                children.forEach(open::push); // the eldest last, so that it is on top
                children.clear();
            }
        }
    }
}
