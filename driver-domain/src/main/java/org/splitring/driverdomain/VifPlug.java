package org.splitring.driverdomain;

import java.net.InetAddress;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.splitring.bridge.AddressPins;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.PortVlans;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabNetwork.Antispoof;

/// What a vif that is plugged in says of its port besides what the lab file does.
///
/// @param ips words
record VifPlug(String domain, Optional<String> mac, String ips, Optional<String> vlan) {
    VifPlug withVlan(Optional<String> now) {
        return new VifPlug(domain, mac, ips, now);
    }

    /// @throws IllegalArgumentException with an address that is none
    NetworkModes.Vif describe(String port) {
        return new NetworkModes.Vif(
                port,
                domain,
                mac.map(MacAddress::parse),
                ips.isEmpty()
                        ? List.of()
                        : Stream.of(ips.split(" +", -1)).map(InetAddress::ofLiteral).toList());
    }

    /// @throws IllegalArgumentException when the plan asks for what the vif has not
    PortSettings settings(LabNetwork plan, String name) {
        PortSettings settings = plan.settingsOf(name);
        if (vlan.isPresent()) {
            settings = settings.withVlans(PortVlans.parse(vlan.get()));
        }
        if (plan.antispoof() == Antispoof.OFF) {
            return settings;
        }
        if (mac.isEmpty()) {
            throw new IllegalArgumentException("mac is missing");
        }
        MacAddress own = MacAddress.parse(mac.get());
        boolean pinned = plan.antispoof() == Antispoof.IP && !ips.isEmpty();
        return settings.withPins(
                pinned ? AddressPins.of(own, List.of(ips.split(" +", -1))) : AddressPins.of(own));
    }
}
