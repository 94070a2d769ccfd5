/// Backend of one virtual interface (vif): a port of a virtual network.
///
/// Frames of a guest come off its tx ring ([RequestReader] makes frames of slots, [FrameCopies]
/// brings them within reach) and go into the network; frames for it come from the network by way of
/// [VifPort] and go into the pages that it offers on its rx ring ([RxQueue]). A payload is copied
/// once, from the pages of one guest into those of the other. Everything of a vif is served on the
/// loop of its network; [VifDevice] and [VifConnection] make and end it on the control plane.
///
/// Start reading at [VifBackendDriver], then `README.md`.
@NullMarked
package org.splitring.netback;

import org.jspecify.annotations.NullMarked;
