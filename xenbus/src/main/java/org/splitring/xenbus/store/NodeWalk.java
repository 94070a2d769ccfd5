package org.splitring.xenbus.store;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;

/// Visits nodes of one version of the tree, each before its children, and children in the order of
/// their making. Does not recurse: a path of 3072 characters can be 1536 levels deep.
final class NodeWalk {
    @FunctionalInterface
    interface Visitor {
        /// Visits one node.
        ///
        /// @return whether to go on below it
        boolean visit(StorePath path, Node node);
    }

    private record Step(StorePath path, Node node) {}

    private NodeWalk() {}

    static void walk(Node root, Visitor visitor) {
        walk(StorePath.ROOT, root, visitor);
    }

    /// Visits the nodes from `start` on.
    ///
    /// @param path of `start`
    static void walk(StorePath path, Node start, Visitor visitor) {
        Deque<Step> open = new ArrayDeque<>();
        open.push(new Step(path, start));
        List<Step> children = new ArrayList<>();
        while (!open.isEmpty()) {
            Step step = open.pop();
            if (visitor.visit(step.path, step.node)) {
                step.node
                        .children()
                        .forEach(
                                (name, child) ->
                                        children.add(new Step(step.path.below(name), child)));
                children.sort(
                        Comparator.comparingLong((Step child) -> child.node.birth()).reversed());
                children.forEach(open::push); // the eldest last, so that it is on top
                children.clear();
            }
        }
    }
}
