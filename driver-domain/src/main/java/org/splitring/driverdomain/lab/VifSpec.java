package org.splitring.driverdomain.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.PortVlans;
import org.splitring.hypervisor.linux.TapDevice;

/// One string of `vif`, in xl's syntax: `key=value` separated by commas; an empty one is an
/// interface with nothing special. What this program cannot do is refused by name.
///
/// Source: Xen `docs/man/xl-network-configuration.5.pod.in`.
///
/// @param bridge a network of the lab
/// @param ips addresses, each with or without a prefix length
/// @param portName `vifname`: of the switch's port
record VifSpec(
        Optional<MacAddress> mac,
        Optional<String> bridge,
        List<String> ips,
        Optional<XlRate> rate,
        Optional<String> portName,
        Optional<Integer> mtu,
        Optional<String> vlan,
        Optional<String> script,
        Optional<Integer> device) {
    private static final List<String> KEYS =
            List.of(
                    "mac", "bridge", "ip", "rate", "vifname", "mtu", "vlan", "script", "devid",
                    "type", "backend");

    /// Keys of xl's that mean something that is not here, and what to say.
    private static final Map<String, String> REFUSED =
            Map.of(
                    "model", "is for emulated network cards, and there are none",
                    "gatewaydev", "is not supported: a network's gateway is in [networks]",
                    "netdev", "is not supported: a network's gateway is in [networks]",
                    "untrusted", "is not supported: guests are told that the backend is trusted");

    static final int MAX_DEVICE = 63;
    private static final int MIN_MTU = 68;

    static VifSpec parse(String text) throws LabException {
        Map<String, String> values = new LinkedHashMap<>();
        for (String part : text.split(",", -1)) {
            String item = part.strip();
            int equals = item.indexOf('=');
            String key = equals < 0 ? item : item.substring(0, equals).strip();
            String refusal = REFUSED.get(key);
            if (refusal != null) {
                throw new LabException("\"" + key + "\" " + refusal);
            }
            if ((item.isEmpty() && text.isBlank()) || item.equals("trusted")) {
                continue;
            }
            if (equals < 0 || !KEYS.contains(key)) {
                throw new LabException(
                        "\""
                                + LabFile.printable(item)
                                + "\" is no KEY=VALUE of a vif"
                                + Suggestion.of(key, KEYS)
                                + "; keys are "
                                + String.join(", ", KEYS));
            }
            if (values.put(key, item.substring(equals + 1).strip()) != null) {
                throw new LabException("\"" + key + "\" is given twice");
            }
        }
        return of(values);
    }

    private static VifSpec of(Map<String, String> values) throws LabException {
        only(values, "type", "vif", "ioemu and others are emulated network cards");
        String backend = values.getOrDefault("backend", "0");
        if (!backend.equals("0") && !backend.equals("Domain-0")) {
            throw new LabException(
                    "backend \""
                            + LabFile.printable(backend)
                            + "\": a lab has one driver domain, 0");
        }
        List<String> ips = new ArrayList<>();
        for (String ip : values.getOrDefault("ip", "").split("\\s+", -1)) {
            if (!ip.isEmpty()) {
                if (LabPrefix.address(ip).isEmpty() && LabPrefix.parse(ip).isEmpty()) {
                    throw new LabException(
                            "ip \"" + LabFile.printable(ip) + "\" is not an address like 10.0.0.2");
                }
                ips.add(ip);
            }
        }
        String mac = values.get("mac");
        String rate = values.get("rate");
        Optional<String> name = Optional.ofNullable(values.get("vifname"));
        Optional<String> problem = name.flatMap(TapDevice::nameProblem);
        if (problem.isPresent()) {
            throw new LabException("vifname " + problem.get());
        }
        return new VifSpec(
                mac == null ? Optional.empty() : Optional.of(VifMac.parse(mac)),
                Optional.ofNullable(values.get("bridge")),
                ips,
                rate == null ? Optional.empty() : Optional.of(XlRate.parse(rate)),
                name,
                number(values, "mtu", MIN_MTU, TapDevice.MAX_MTU),
                vlan(values),
                Optional.ofNullable(values.get("script")),
                number(values, "devid", 0, MAX_DEVICE));
    }

    private static Optional<String> vlan(Map<String, String> values) throws LabException {
        Optional<String> vlan = Optional.ofNullable(values.get("vlan"));
        try {
            vlan.ifPresent(PortVlans::parse);
            return vlan;
        } catch (IllegalArgumentException e) {
            throw new LabException(String.valueOf(e.getMessage()), e);
        }
    }

    private static void only(Map<String, String> values, String key, String one, String why)
            throws LabException {
        String value = values.getOrDefault(key, one);
        if (!value.equals(one)) {
            throw new LabException(
                    key + " \"" + LabFile.printable(value) + "\" is not " + one + ": " + why);
        }
    }

    private static Optional<Integer> number(
            Map<String, String> values, String key, int least, int most) throws LabException {
        String text = values.get(key);
        if (text == null) {
            return Optional.empty();
        }
        if (!text.matches("\\d{1,6}")
                || Integer.parseInt(text) < least
                || Integer.parseInt(text) > most) {
            throw new LabException(
                    key
                            + " \""
                            + LabFile.printable(text)
                            + "\" is not between "
                            + least
                            + " and "
                            + most);
        }
        return Optional.of(Integer.parseInt(text));
    }
}
