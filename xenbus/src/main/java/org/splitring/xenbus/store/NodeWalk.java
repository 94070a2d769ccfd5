package org.splitring.xenbus.store;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Visits nodes of one version of the tree, each before its children, and children in the order of
/// their making. Does not recurse: a path of 3072 characters can be 1536 levels deep.
final class NodeWalk {
    @FunctionalInterface
    interface Visitor {
        /// Visits one node.
        ///
        /// @return whether to go on below it
        boolean visit(Place place, Node node);
    }

    /// Where a node is: its path is put together only for whoever asks.
    static final class Place {
        private final @Nullable Place above;
        private final StorePath start;
        private final String name;

        Place(@Nullable Place above, StorePath start, String name) {
            this.above = above;
            this.start = start;
            this.name = name;
        }

        /// The last part of the path.
        String name() {
            return name;
        }

        StorePath path() {
            Deque<String> names = new ArrayDeque<>();
            for (Place at = this; at != null && at.above != null; at = at.above) {
                names.push(at.name);
            }
            return start.below(names);
        }
    }

    private record Step(Place place, Node node) {}

    private NodeWalk() {}

    static void walk(Node root, Visitor visitor) {
        walk(StorePath.ROOT, root, visitor);
    }

    /// Visits the nodes from `start` on.
    ///
    /// @param path of `start`
    static void walk(StorePath path, Node start, Visitor visitor) {
        Deque<Step> open = new ArrayDeque<>();
        open.push(new Step(new Place(null, path, path.name()), start));
        List<Step> children = new ArrayList<>();
        while (!open.isEmpty()) {
            Step step = open.pop();
            if (visitor.visit(step.place, step.node)) {
                step.node
                        .children()
                        .forEach(
                                (name, child) ->
                                        children.add(
                                                new Step(
                                                        new Place(step.place, path, name), child)));
                children.sort(
                        Comparator.comparingLong((Step child) -> child.node.birth()).reversed());
                children.forEach(open::push); // the eldest last, so that it is on top
                children.clear();
            }
        }
    }
}
