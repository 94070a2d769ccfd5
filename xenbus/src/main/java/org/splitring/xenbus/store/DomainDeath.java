package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.splitring.hypervisor.DomId;

/// What has to change in a tree when a domain is gone.
final class DomainDeath {
    private DomainDeath() {}

    static List<Change> changes(Node root, DomId domain) {
        Predicate<Permission> dead = permission -> permission.domain().equals(domain);
        List<Change> changes = new ArrayList<>();
        NodeWalk.walk(
                root,
                (place, node) -> {
                    if (node.owner().equals(domain)) {
                        changes.add(new Change.Remove(place.path()));
                        return false;
                    }
                    if (node.permissions().stream().anyMatch(dead)) {
                        List<Permission> left =
                                node.permissions().stream().filter(dead.negate()).toList();
                        changes.add(new Change.SetPermissions(place.path(), left));
                    }
                    return true;
                });
        return changes;
    }
}
