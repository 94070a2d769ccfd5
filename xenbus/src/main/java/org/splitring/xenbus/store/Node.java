package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.splitring.hypervisor.DomId;

/// One node of one version of the tree. Immutable; the array is never written.
///
/// @param permissions owner first, never empty
/// @param generation number of the last change of value, rights or list of children; unique in the
///     store, so equal generations at a path mean that nothing happened there
/// @param birth number of its making, for the order of listings
@SuppressWarnings("ArrayRecordComponent") // compared by generation, never by equals
record Node(
        byte[] value, List<Permission> permissions, NodeMap children, long generation, long birth) {

    /// A root of domain 0 with nothing below it.
    static Node emptyRoot() {
        return new Node(new byte[0], List.of(Permission.none(DomId.ZERO)), NodeMap.EMPTY, 0, 0);
    }

    DomId owner() {
        return permissions.getFirst().domain();
    }

    boolean readableBy(DomId domain) {
        return access(domain).reads();
    }

    boolean writableBy(DomId domain) {
        return access(domain).writes();
    }

    boolean ownedBy(DomId domain) {
        return domain.equals(DomId.ZERO) || domain.equals(owner());
    }

    private Permission.Access access(DomId domain) {
        if (ownedBy(domain)) {
            return Permission.Access.BOTH;
        }
        for (int i = 1; i < permissions.size(); i++) {
            if (permissions.get(i).domain().equals(domain)) {
                return permissions.get(i).access();
            }
        }
        return permissions.getFirst().access();
    }

    /// Names of the children in the order of their making.
    List<String> childNames() {
        record Child(String name, long birth) {}
        List<Child> found = new ArrayList<>(children.size());
        children.forEach((name, node) -> found.add(new Child(name, node.birth())));
        found.sort(Comparator.comparingLong(Child::birth));
        return found.stream().map(Child::name).toList();
    }

    Node withChildren(NodeMap changed) {
        return new Node(value, permissions, changed, generation, birth);
    }

    Node withGeneration(long changed) {
        return new Node(value, permissions, children, changed, birth);
    }

    Node withValue(byte[] changed, long newGeneration) {
        return new Node(changed, permissions, children, newGeneration, birth);
    }

    Node withPermissions(List<Permission> changed, long newGeneration) {
        return new Node(value, changed, children, newGeneration, birth);
    }
}
