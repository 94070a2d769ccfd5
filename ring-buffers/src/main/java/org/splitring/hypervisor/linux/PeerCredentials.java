package org.splitring.hypervisor.linux;

/// Who connected (`SO_PEERCRED`), as the kernel saw it at connect.
///
/// @param pid may belong to another process by now: for messages only
/// @param uid effective user
/// @param gid effective group
public record PeerCredentials(int pid, int uid, int gid) {}
