package org.splitring.driverdomain.lab;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.splitring.bridge.MacAddress;

/// A network interface of a guest.
///
/// @param device its number in the guest, which calls it `ethN`
/// @param domain that it is in
/// @param network that it is plugged into
/// @param portName of the switch's port
/// @param addresses of the interface, as `10.0.0.2/24`
/// @param gateways where everything else is sent, one of a family at most
/// @param rate `BYTES,MICROSECONDS` that the guest may send, as it stands in the store
/// @param mtu of the interface
/// @param vlan as in xl's `vlan=`
/// @param place `file:line: key`, for messages
public record LabVif(
        int device,
        String domain,
        MacAddress mac,
        String network,
        String portName,
        List<String> addresses,
        List<String> gateways,
        Optional<String> rate,
        int mtu,
        Optional<String> vlan,
        String place) {
    public LabVif {
        addresses = List.copyOf(addresses);
        gateways = List.copyOf(gateways);
    }

    /// What the toolstack writes into the frontend's folder. Of ours are `ip` and `gateway`: what
    /// the guest sets its interface to.
    public Map<String, String> frontendKeys() {
        Map<String, String> keys = new TreeMap<>();
        keys.put("handle", Integer.toString(device));
        keys.put("mac", mac.toString());
        keys.put("mtu", Integer.toString(mtu));
        keys.put("ip", String.join(" ", addresses));
        keys.put("gateway", String.join(" ", gateways));
        return keys;
    }

    /// What the toolstack writes into the backend's folder; `ip` has no prefix lengths there.
    public Map<String, String> backendKeys() {
        Map<String, String> keys = new TreeMap<>();
        keys.put("handle", Integer.toString(device));
        keys.put("mac", mac.toString());
        keys.put("mtu", Integer.toString(mtu));
        keys.put("bridge", network);
        keys.put("vifname", portName);
        keys.put("type", "vif");
        keys.put("domain", domain);
        List<String> literals =
                addresses.stream().map(text -> text.substring(0, text.indexOf('/'))).toList();
        keys.put("ip", String.join(" ", literals));
        rate.ifPresent(value -> keys.put("rate", value));
        vlan.ifPresent(value -> keys.put("vlan", value));
        return keys;
    }
}
