/// What needs system calls in the virtual network. Interfaces of Linux: a guest's own, in a
/// namespace of its own ([TapVif]), and one of this machine as a port of a switch ([TapPort]). And
/// ports over datagrams: QEMU's `dgram` netdev ([DatagramPort]) and VXLAN ([VxlanPort]), both with
/// a [DatagramEnd].
///
/// Frames go between a TAP's descriptor and granted pages, or those of the switch, in one system
/// call each; [VnetHeader][org.splitring.hypervisor.linux.VnetHeader] carries what is known of
/// their checksums.
@NullMarked
package org.splitring.driverdomain.net;

import org.jspecify.annotations.NullMarked;
