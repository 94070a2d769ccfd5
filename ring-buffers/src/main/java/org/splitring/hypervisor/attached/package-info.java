/// Platform between processes: sealed memfd, descriptors over a Unix socket, Netty event loops.
///
/// The driver domain's process has an `AttachServer`, a guest's process an `AttachedGuest`; what
/// they say to each other is `docs/abi.md`. Both wait on `NettyDeviceLoop`s. A guest is let in by
/// `AttachConnection` after `MemoryCheck` has looked at its memory, is an `AttachedPeer` from then
/// on, and goes in slices through `AttachSocket`: ports first, its memory when the last device has
/// let go. `PortBroker` binds ports; events take no lock: a guest's kick comes through a
/// `KickWatch` to the `EventGate` of the port, and a wake-up goes out as one byte in a pipe.
///
/// Start at `AttachServer` or at `AttachedGuest`.
@NullMarked
package org.splitring.hypervisor.attached;

import org.jspecify.annotations.NullMarked;
