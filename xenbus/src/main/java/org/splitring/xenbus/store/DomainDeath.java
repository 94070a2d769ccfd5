package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// What has to change in a tree when a domain is gone.
final class DomainDeath {
    private DomainDeath() {}

    /// @param naming nodes with a right of the domain, in the order of [NodeWalk]
    static List<Change> changes(Node root, List<NodePlace> naming, DomId domain) {
        List<Change> changes = new ArrayList<>();
        NodePlace gone = null;
        for (NodePlace place : naming) {
            if (gone != null && gone.holds(place)) {
                continue;
            }
            StorePath path = place.path();
            Node node = found(root, path);
            if (node.owner().equals(domain) && !path.root()) {
                changes.add(new Change.Remove(path));
                gone = place;
            } else {
                List<Permission> left = StoreDomains.without(domain, node.permissions());
                changes.add(new Change.SetPermissions(path, left));
            }
        }
        return changes;
    }

    private static Node found(Node root, StorePath path) {
        @Nullable Node node = Draft.find(root, path.parts());
        if (node == null) {
            throw new IllegalStateException("rights of a node that is not there: " + path);
        }
        return node;
    }
}
