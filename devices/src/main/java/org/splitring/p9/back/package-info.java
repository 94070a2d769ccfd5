/// Backend of 9pfs: offers a folder of the host to a guest, over the 9P2000.L protocol.
///
/// Requests come off the rings into private memory, one at a time;
/// `P9Session` serves them on files that `SharedFolder` finds, never outside the folder.
@NullMarked
package org.splitring.p9.back;

import org.jspecify.annotations.NullMarked;
