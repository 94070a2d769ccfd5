package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.splitring.hypervisor.DomId;

/// Which nodes of the tree name which guest in their rights, as owner or otherwise: what a release
/// has to look at, so that it costs what the domain had and not the size of the store. Domain 0
/// stays, and is not in it. Guarded by the lock of the store.
final class RightsIndex {
    /// A node whose rights change, that is new, or that goes.
    ///
    /// @param before rights that it had; none when it is new
    /// @param after rights that it has; none when it goes
    record Step(NodePlace place, List<Permission> before, List<Permission> after) {}

    private final Map<DomId, Set<NodePlace>> places = new HashMap<>();

    /// All nodes of a tree.
    static RightsIndex of(Node root) {
        RightsIndex index = new RightsIndex();
        NodeWalk.walk(
                root,
                node -> {
                    index.apply(new Step(node.place(), List.of(), node.permissions()));
                    return true;
                });
        return index;
    }

    void apply(Step step) {
        for (Permission right : step.before()) {
            Set<NodePlace> named = places.get(right.domain());
            if (named != null && named.remove(step.place()) && named.isEmpty()) {
                places.remove(right.domain());
            }
        }
        for (Permission right : step.after()) {
            if (!right.domain().equals(DomId.ZERO)) {
                places.computeIfAbsent(right.domain(), d -> new HashSet<>()).add(step.place());
            }
        }
    }

    /// Nodes that name the domain, in the order of [NodeWalk].
    List<NodePlace> naming(DomId domain) {
        List<NodePlace> found = new ArrayList<>(places.getOrDefault(domain, Set.of()));
        found.sort(NodePlace.WALK_ORDER);
        return found;
    }

    boolean hasTheSameAs(RightsIndex other) {
        return places.equals(other.places);
    }
}
