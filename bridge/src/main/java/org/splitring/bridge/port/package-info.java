/// Ports whose other end is a connected socket: QEMU machines and passt over their `stream`
/// netdevs.
///
/// A frame comes out of a Netty channel of the network's own loop, is copied once into the port's
/// memory ([InboundFrame]) and passed to the network from there; a frame for the peer is copied
/// once from where it lies into the buffer that the channel sends. What a peer does wrong is a
/// counter or the end of that port, never more. Start reading at [StreamPort].
@NullMarked
package org.splitring.bridge.port;

import org.jspecify.annotations.NullMarked;
