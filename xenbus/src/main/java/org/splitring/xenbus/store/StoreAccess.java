package org.splitring.xenbus.store;

import java.util.List;
import java.util.Optional;

/// Reading and writing nodes, within a transaction or outside one.
///
/// A path is absolute (`/local/domain/1/name`, at most 3072 bytes) or relative to
/// `/local/domain/<own domid>` (at most 2048). Its characters are letters, digits and `-/_@`. Path
/// and value together hold at most 4095 bytes. Values are text; bytes that are not UTF-8 read as
/// the replacement character.
public interface StoreAccess {
    /// The value of a node.
    ///
    /// @return empty when there is no such node
    /// @throws StoreException [StoreError#EACCES] when it may not be read, [StoreError#EINVAL] for
    ///     a bad path
    Optional<String> read(String path) throws StoreException;

    /// Sets a node's value, and makes it and the nodes above it where they are missing. New nodes
    /// have the rights of the node above; a guest owns what it makes.
    ///
    /// @throws StoreException [StoreError#EACCES], [StoreError#EINVAL], [StoreError#E2BIG], or
    ///     [StoreError#ENOSPC] at a limit
    void write(String path, String value) throws StoreException;

    /// Makes a node with an empty value; one that exists is left alone.
    void makeNode(String path) throws StoreException;

    /// Removes a node with everything below it. Nothing happens when there is no such node.
    void remove(String path) throws StoreException;

    /// Names of the nodes below, in the order of their making; none when there is no such node.
    List<String> list(String path) throws StoreException;

    /// Rights on a node: the owner first.
    ///
    /// @throws StoreException [StoreError#ENOENT] when there is no such node
    List<Permission> permissions(String path) throws StoreException;

    /// Sets the rights on a node. The owner may do so; only domain 0 may change the owner.
    ///
    /// @param permissions first the owner, with the access of everybody who is not in the list
    void setPermissions(String path, List<Permission> permissions) throws StoreException;
}
