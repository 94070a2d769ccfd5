/// Interfaces of Linux in the virtual network: one of this machine as a port of a switch
/// ([TapPort]).
///
/// Frames go between a TAP's descriptor and the pages of the switch's other ports in one system
/// call each; [VnetHeader][org.splitring.hypervisor.linux.VnetHeader] carries what is known of
/// their checksums.
@NullMarked
package org.splitring.driverdomain.net;

import org.jspecify.annotations.NullMarked;
