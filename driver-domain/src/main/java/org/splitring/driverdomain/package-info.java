/// The program: `splitring up`, `splitring down`, and the guest process that `up` starts.
///
/// [Splitring] is the main class. `up` reads a lab file and starts a [RunningLab]: one [LabGuest]
/// for each domain keeps its images open, listens for its guest, and serves its devices with what
/// [LabDrivers] has found. The guest of a `java` domain is a [GuestProgram] in a process of its
/// own, which connects the frontends and offers its disks over NBD. [DeviceNodes] is what all
/// remember.
@NullMarked
package org.splitring.driverdomain;

import org.jspecify.annotations.NullMarked;
