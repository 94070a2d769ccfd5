package org.splitring.xenbus.store;

import java.util.Set;
import org.splitring.hypervisor.DomId;

/// All that a store keeps when its server ends: not watches and transactions, whose clients are
/// gone with it. Immutable, as the nodes are.
///
/// @param version grows with each change, from 0 in every server
/// @param generation highest number given to a node so far; a successor goes on from there, so that
///     a list read in parts is never put together out of two servers' versions
/// @param root of the tree
/// @param introduced domains known to exist, without domain 0
record StoreSnapshot(long version, long generation, Node root, Set<DomId> introduced) {}
