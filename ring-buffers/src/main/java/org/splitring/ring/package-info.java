/// The ring algorithm: Xen's `ring.h` over a memory segment. Start at `FrontRing` and `BackRing`.
@NullMarked
package org.splitring.ring;

import org.jspecify.annotations.NullMarked;
