/// The program: `splitring up`, `splitring down`, and the guest process that `up` starts.
///
/// [Splitring] is the main class. `up` reads a lab file and starts a [RunningLab]: one [LabGuest]
/// for each domain keeps its images open, listens for its guest, and serves it with block backends
/// while it is attached. The guest of a `java` domain is a [GuestProgram] in a process of its own,
/// which connects the frontends and exports them over NBD.
@NullMarked
package org.splitring.driverdomain;

import org.jspecify.annotations.NullMarked;
