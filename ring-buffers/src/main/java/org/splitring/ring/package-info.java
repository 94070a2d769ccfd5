/// The ring algorithm: Xen's `ring.h` over a memory segment.
///
/// Requests flow from [org.splitring.ring.FrontRing] to [org.splitring.ring.BackRing] and responses
/// come back in the same slots; each end belongs to one thread, its device's loop, and the pages to
/// whoever attached it. Rings of bytes (console, xenstore, 9pfs, pvcalls) have a reader and a
/// writer
/// each: start at [org.splitring.ring.ConsoleRing].
///
/// Everything in the shared pages is the peer's to change at any moment: own indices are kept
/// privately and never read back, foreign ones are checked where they are read, and slots are
/// copied
/// once. Why the accesses order memory between processes: `docs/notes/memory-model.md`.
@NullMarked
package org.splitring.ring;

import org.jspecify.annotations.NullMarked;
