package org.splitring.xenbus.store;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// One node of one version of the tree. Immutable; the array is never written.
///
/// @param permissions owner first, never empty
/// @param generation number of the last change of value, rights or list of children; unique in the
///     store, so equal generations at a path mean that nothing happened there
/// @param place where it is, the same in every version
/// @param changer who made the last change: whose fault a conflict is
@SuppressWarnings("ArrayRecordComponent") // compared by generation, never by equals
record Node(
        byte[] value,
        List<Permission> permissions,
        NodeMap children,
        long generation,
        NodePlace place,
        DomId changer) {
    /// What a node and an entry of its rights take in the records of Xen's daemon, whose quotas
    /// count them.
    static final int RECORD_BYTES = 24;

    static final int PERMISSION_BYTES = 8;

    /// A root of domain 0 with nothing below it.
    static Node emptyRoot() {
        return new Node(
                new byte[0],
                List.of(Permission.none(DomId.ZERO)),
                NodeMap.EMPTY,
                0,
                NodePlace.ROOT,
                DomId.ZERO);
    }

    DomId owner() {
        return permissions.getFirst().domain();
    }

    /// What a domain may do with a node of these rights.
    ///
    /// @param target another domain whose rights it has too
    static Permission.Access access(
            List<Permission> permissions, DomId domain, @Nullable DomId target) {
        if (owned(permissions, domain, target)) {
            return Permission.Access.BOTH;
        }
        for (int i = 1; i < permissions.size(); i++) {
            DomId named = permissions.get(i).domain();
            if (named.equals(domain) || named.equals(target)) {
                return permissions.get(i).access();
            }
        }
        return permissions.getFirst().access();
    }

    /// Whether a domain may do everything with a node of these rights.
    static boolean owned(List<Permission> permissions, DomId domain, @Nullable DomId target) {
        DomId owner = permissions.getFirst().domain();
        return domain.equals(DomId.ZERO) || domain.equals(owner) || owner.equals(target);
    }

    /// Names of the children in the order of their making.
    List<String> childNames() {
        return children.namesByBirth();
    }

    /// Bytes that the quota of a node's size counts.
    int sizeBytes() {
        return RECORD_BYTES
                + PERMISSION_BYTES * permissions.size()
                + value.length
                + children.nameBytes();
    }

    /// Whether another version of this node costs its owner the same, and has the same rights.
    boolean isChargedLike(Node other) {
        return permissions.equals(other.permissions) && value.length == other.value.length;
    }

    Node withChildren(NodeMap changed) {
        return new Node(value, permissions, changed, generation, place, changer);
    }

    Node withChildren(NodeMap changed, long newGeneration, DomId by) {
        return new Node(value, permissions, changed, newGeneration, place, by);
    }

    Node withValue(byte[] changed, long newGeneration, DomId by) {
        return new Node(changed, permissions, children, newGeneration, place, by);
    }

    Node withPermissions(List<Permission> changed, long newGeneration, DomId by) {
        return new Node(value, changed, children, newGeneration, place, by);
    }
}
