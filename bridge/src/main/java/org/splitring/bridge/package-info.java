/// The virtual switch. It knows frames and ports, and nothing of rings.
///
/// A [org.splitring.bridge.VirtualNetwork] lives on one event loop, with all its ports. A device
/// (a vif, a TAP, a socket) implements [org.splitring.bridge.FramePort] and gets a
/// [org.splitring.bridge.PortLink] when it is attached. What it receives from its peer it
/// describes in a [org.splitring.bridge.Frame], which it owns and reuses, and passes to the link;
/// the network's mode ([org.splitring.bridge.Forwarder]) decides where it goes and offers the
/// same view to other ports, which copy the payload once, from the sender's pages to their own.
/// At the end of a batch every port that got something is flushed once.
///
/// A frame's header is a private copy; its payload lies in memory that the sender's peer may
/// change at any moment and that nobody here decides on. Nothing is allocated, locked or logged
/// for a frame.
///
/// Start reading at `Frame`, then `PortLink`, then `LearningSwitch`.
@NullMarked
package org.splitring.bridge;

import org.jspecify.annotations.NullMarked;
