/// Frontend of one virtual interface (vif).
///
/// Whoever uses a vif in the guest is a [org.splitring.netfront.VifUser]: it acquires pages, fills
/// them and sends them as a frame, and is shown frames in the pages that they came in. Pages are
/// granted once for each connection, so that a frame costs no grant. [TxRing] and [RxRing] are the
/// two ways; [VifDevice] and [VifConnection] make and end them on the control plane.
///
/// Start reading at [org.splitring.netfront.VifFrontend], then `README.md`.
@NullMarked
package org.splitring.netfront;

import org.jspecify.annotations.NullMarked;
