package org.splitring.netback;

import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// Where a vif is plugged in.
///
/// @param network stays the caller's
/// @param loop that the network and all its ports live on
/// @param settings of the port; its name must be free in the network
/// @param mtu of the network, 68 to 65535: the largest payload that the guest is sent in one frame
///     that is no GSO frame
public record VifPlace(VirtualNetwork network, DeviceLoop loop, PortSettings settings, int mtu) {
    /// Finds the place of a new vif from what the toolstack has written about it: `bridge`, `mac`,
    /// `vifname` and so on.
    @FunctionalInterface
    public interface Finder {
        /// Finds the place.
        ///
        /// @throws DeviceException when there is no such place: the message names the parameter
        VifPlace find(BackendContext context) throws DeviceException;
    }
}
