/// Backends of virtual block devices (vbds).
///
/// [VbdBackendDriver] makes one for each vbd in the store, from an image that is open once in this
/// process ([DiskImages]). What it does at each step is in `VbdBackend`, its work in `DiskQueue`.
@NullMarked
package org.splitring.blkback;

import org.jspecify.annotations.NullMarked;
