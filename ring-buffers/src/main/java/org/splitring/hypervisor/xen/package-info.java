/// Platform under Xen: the hypervisor's own grants and event channels, through the devices that
/// Linux has for them.
///
/// `XenDriverDomain` is a domain whose user space serves others: dom0 or a driver domain. A port is
/// a descriptor of `/dev/xen/evtchn` on the loop that serves it (`XenEventChannel`), a device's
/// window on granted pages a range of addresses into which `/dev/xen/gntdev` puts them
/// (`XenForeignPages`). Loops are those of the attached platform: all of it is descriptors. Why
/// each is as it is: `docs/notes/xen-platform.md`.
///
/// Start at `XenDevices`, which says what is missing where there is no Xen.
@NullMarked
package org.splitring.hypervisor.xen;

import org.jspecify.annotations.NullMarked;
