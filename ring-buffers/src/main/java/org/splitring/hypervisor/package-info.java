/// What a hypervisor gives to drivers: domains, guest memory, grants and event channels.
///
/// Drivers are written against this package alone. A platform implements it: `local` inside one
/// JVM, `attached` between processes. Start at `GuestDomain` (the frontend's half) and
/// `DriverDomain` (the backend's half).
@NullMarked
package org.splitring.hypervisor;

import org.jspecify.annotations.NullMarked;
