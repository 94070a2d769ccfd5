package org.splitring.driverdomain.lab;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.PortVlans;
import org.splitring.bridge.SwitchSettings;

/// A network of a lab.
///
/// @param subnets that guests' addresses are in
/// @param gateways in them, for guests' default routes
/// @param mtu of its ports
/// @param bridge what the switch is told
/// @param antispoof which addresses of its own a guest is held to
/// @param vlanFiltering whether ports without `vlan=` are in VLAN 1 alone; else tags are not
///     looked
///     at
/// @param ports to others than guests; the uplink of a NAT is one of them
/// @param routing of a network in route or NAT mode
/// @param settings of ports by their names: only what `settings` says
/// @param place `file:line: key`, for messages
public record LabNetwork(
        String name,
        Mode mode,
        List<LabPrefix> subnets,
        List<String> gateways,
        int mtu,
        SwitchSettings bridge,
        Antispoof antispoof,
        boolean vlanFiltering,
        List<LabPort> ports,
        Optional<LabRouting> routing,
        Map<String, PortSettings> settings,
        String place) {
    public LabNetwork {
        subnets = List.copyOf(subnets);
        gateways = List.copyOf(gateways);
        ports = List.copyOf(ports);
        settings = Map.copyOf(settings);
    }

    /// How frames are forwarded.
    public enum Mode {
        /// A learning switch.
        BRIDGE,
        /// A router between guests' addresses, subnets and ports.
        ROUTE,
        /// A router that shows its guests outside under its own address.
        NAT;

        /// As the lab file has it.
        public String text() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /// Which of a guest's source addresses are checked.
    public enum Antispoof {
        /// Its MAC, and where it has `ip=` those.
        IP,
        /// Its MAC.
        MAC,
        OFF
    }

    /// The settings of a port of that name, before what its own specification says.
    public PortSettings settingsOf(String port) {
        PortVlans vlans = vlanFiltering ? PortVlans.DEFAULT : PortVlans.ALL;
        return settings.getOrDefault(port, PortSettings.of(port)).withVlans(vlans);
    }
}
