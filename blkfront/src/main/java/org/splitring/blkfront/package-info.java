/// Frontends of virtual block devices (vbds).
///
/// [VbdFrontendDriver] makes a [VbdFrontend] for each vbd that a toolstack has given to the guest;
/// the guest's program uses it as its [VbdUser].
@NullMarked
package org.splitring.blkfront;

import org.jspecify.annotations.NullMarked;
