/// Frontend of 9pfs: shows the rings to programs in the guest as a Unix socket that speaks
/// 9P2000.L,
/// `TAG.9p` in the folder of the guest's sockets.
///
/// Messages go through as they are; `ClientLink` only keeps them whole, so that a client that
/// leaves
/// in the middle of one leaves the rings in order for the next.
@NullMarked
package org.splitring.p9.front;

import org.jspecify.annotations.NullMarked;
