package org.splitring.driverdomain.lab;

import java.net.InetAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.driverdomain.lab.LabNetwork.Antispoof;
import org.splitring.driverdomain.lab.LabNetwork.Mode;
import tools.jackson.databind.JsonNode;

/// The networks of a lab file and what is plugged into them, checked against each other: nothing
/// is there twice, everything is somewhere.
///
///     [networks.lan]
///     mode = "bridge"                             # or "route", "nat": see RoutingTable
///     subnet = "10.0.0.0/24"                      # or a list, one of a family
///     gateway = "10.0.0.254"                      # or a list; for guests' default routes
///     mtu = 1500
///     ports = ["stream, listen=./vm.sock", "tap, name=lan0"]
final class NetworkTables {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,31}");
    private static final List<String> KEYS =
            List.of(
                    "mode",
                    "subnet",
                    "gateway",
                    "mtu",
                    "ports",
                    "settings",
                    "antispoof",
                    "vlan_filtering",
                    "snooping",
                    "ageing",
                    "max_addresses",
                    "dhcp",
                    "advertise",
                    "dns",
                    "domain",
                    "routes",
                    "uplink",
                    "forward");
    private static final List<String> MODES = List.of("bridge", "route", "nat");
    private static final int DEFAULT_MTU = 1500;
    private static final int MIN_MTU = 68;
    private static final int MAX_MTU = 65_521;
    private static final int MAX_PORTS = 64;
    private static final int MAX_VIFS = 8;

    private final LabFile file;
    private final String lab;
    private final Path folder;
    private final Map<String, LabNetwork> networks = new LinkedHashMap<>();
    private final VifTables vifTables;
    private final Map<String, String> interfaces = new HashMap<>();

    /// @param path of the lab file
    NetworkTables(LabFile file, Path path) {
        this.file = file;
        vifTables = new VifTables(path, networks);
        lab = path.toAbsolutePath().normalize().toString();
        folder = path.toAbsolutePath().resolveSibling("");
    }

    List<LabNetwork> networks() {
        return List.copyOf(networks.values());
    }

    /// Reads `[networks]`.
    void read(JsonNode tables) throws LabException {
        if (tables.isMissingNode()) {
            return;
        }
        if (!tables.isObject()) {
            throw file.bad(List.of("networks"), "must be a table of networks");
        }
        for (Map.Entry<String, JsonNode> entry : tables.properties()) {
            LabNetwork network = network(entry.getKey(), entry.getValue());
            networks.put(network.name(), network);
        }
        checkLinks();
    }

    private LabNetwork network(String name, JsonNode table) throws LabException {
        List<String> path = List.of("networks", name);
        if (!NAME.matcher(name).matches()) {
            throw file.bad(
                    path,
                    "\""
                            + LabFile.printable(name)
                            + "\" cannot be the name of a network: up to 32 letters, digits and"
                            + " ._-");
        }
        file.checkKeys(table, path, KEYS);
        Mode mode = mode(table.path("mode"), LabFile.under(path, "mode"));
        List<LabPrefix> subnets = new ArrayList<>();
        List<String> subnetPath = LabFile.under(path, "subnet");
        for (String text : file.strings(table.path("subnet"), subnetPath)) {
            subnets.add(subnet(text, subnetPath, subnets, mode));
        }
        List<String> gateways = new ArrayList<>();
        List<String> gatewayPath = LabFile.under(path, "gateway");
        for (String text : file.strings(table.path("gateway"), gatewayPath)) {
            gateways.add(gateway(text, gatewayPath, subnets, mode));
        }
        boolean filtering =
                file.flag(
                        table.path("vlan_filtering"), LabFile.under(path, "vlan_filtering"), false);
        List<LabPort> ports =
                ports(name, table.path("ports"), LabFile.under(path, "ports"), filtering);
        Optional<LabRouting> routing = routing(table, path, mode, subnets, gateways, ports);
        checkAddresses(mode, ports, filtering, path);
        return new LabNetwork(
                name,
                mode,
                subnets,
                routing.map(NetworkTables::gateways).orElse(gateways),
                number(table, path, "mtu", DEFAULT_MTU, MIN_MTU, MAX_MTU),
                bridge(table, path),
                antispoof(table.path("antispoof"), LabFile.under(path, "antispoof")),
                filtering,
                ports,
                routing,
                new PortSettingsTable(file, LabFile.under(path, "settings"))
                        .read(table.path("settings")),
                file.place(path));
    }

    /// Reads what a router has, and its uplink, which becomes the last of the ports.
    private Optional<LabRouting> routing(
            JsonNode table,
            List<String> path,
            Mode mode,
            List<LabPrefix> subnets,
            List<String> gateways,
            List<LabPort> ports)
            throws LabException {
        RoutingTable routing = new RoutingTable(file, path);
        if (mode == Mode.BRIDGE) {
            routing.refuse(table);
            return Optional.empty();
        }
        JsonNode uplink = table.path("uplink");
        if (uplink.isMissingNode()) {
            return Optional.of(routing.read(lab, table, mode, subnets, gateways, Optional.empty()));
        }
        List<String> uplinkPath = LabFile.under(path, "uplink");
        if (mode != Mode.NAT) {
            throw file.bad(
                    uplinkPath,
                    "is for networks of mode nat; a router's ports stand in ports, with address=");
        }
        LabPort port = uplink(path.getLast(), uplink, uplinkPath);
        ports.add(port);
        return Optional.of(
                routing.read(lab, table, mode, subnets, gateways, Optional.of(port.plug().name())));
    }

    private LabPort uplink(String network, JsonNode node, List<String> path) throws LabException {
        if (!node.isString()) {
            throw file.bad(path, "must be a string, such as \"tap, name=up0, address=...\"");
        }
        String text = node.stringValue();
        String place = file.place(path, text);
        try {
            LabPort port = port(network, text, "uplink", place);
            if (port instanceof LabPort.Stream stream && stream.listens()) {
                throw new LabException("an uplink has one peer: a stream port with connect=");
            }
            if (port.plug().addresses().isEmpty()) {
                throw new LabException("an uplink needs address=, such as 192.0.2.2/24");
            }
            return port;
        } catch (LabException e) {
            throw new LabException(place + ": " + e.getMessage(), e);
        }
    }

    private static List<String> gateways(LabRouting routing) {
        return routing.gateways().stream()
                .map(gateway -> gateway.address().getHostAddress())
                .toList();
    }

    private void checkAddresses(
            Mode mode, List<LabPort> ports, boolean filtering, List<String> path)
            throws LabException {
        if (mode == Mode.BRIDGE) {
            for (LabPort port : ports) {
                if (!port.plug().addresses().isEmpty() || port.plug().via().isPresent()) {
                    throw new LabException(
                            port.plug().place()
                                    + ": address= and via= are a router's; the network has mode"
                                    + " bridge");
                }
            }
        } else if (filtering) {
            throw file.bad(
                    LabFile.under(path, "vlan_filtering"), "is for networks of mode bridge only");
        }
    }

    private int number(
            JsonNode table, List<String> path, String key, int missing, int least, int most)
            throws LabException {
        JsonNode node = table.path(key);
        return node.isMissingNode()
                ? missing
                : file.number(node, LabFile.under(path, key), least, most);
    }

    private SwitchSettings bridge(JsonNode table, List<String> path) throws LabException {
        SwitchSettings usual = SwitchSettings.DEFAULT;
        int most = number(table, path, "max_addresses", usual.maxAddresses(), 1, 1 << 20);
        return new SwitchSettings(
                most,
                Math.min(most, usual.maxAddressesPerPort()),
                number(table, path, "ageing", usual.ageingSeconds(), 1, 1_000_000),
                file.flag(
                        table.path("snooping"), LabFile.under(path, "snooping"), usual.snooping()));
    }

    private Antispoof antispoof(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode()) {
            return Antispoof.IP;
        }
        return switch (LabFile.text(node)) {
            case "ip" -> Antispoof.IP;
            case "mac" -> Antispoof.MAC;
            case "off" -> Antispoof.OFF;
            default ->
                    throw file.bad(
                            path,
                            "\""
                                    + LabFile.text(node)
                                    + "\" is none of ip, mac and off"
                                    + Suggestion.of(
                                            LabFile.text(node), List.of("ip", "mac", "off")));
        };
    }

    private Mode mode(JsonNode node, List<String> path) throws LabException {
        String text = node.isMissingNode() ? "bridge" : LabFile.text(node);
        return switch (text) {
            case "bridge" -> Mode.BRIDGE;
            case "route" -> Mode.ROUTE;
            case "nat" -> Mode.NAT;
            default ->
                    throw file.bad(
                            path,
                            "\""
                                    + text
                                    + "\" is no mode of a network"
                                    + Suggestion.of(text, MODES)
                                    + "; there are bridge, route and nat");
        };
    }

    private LabPrefix subnet(String text, List<String> path, List<LabPrefix> others, Mode mode)
            throws LabException {
        LabPrefix subnet =
                LabPrefix.parse(text)
                        .orElseThrow(
                                () ->
                                        file.bad(
                                                path,
                                                "\""
                                                        + LabFile.printable(text)
                                                        + "\" is not a subnet like"
                                                        + " 10.0.0.0/24"));
        if (!subnet.isSubnet()) {
            throw file.bad(
                    path, text + " has bits beyond its prefix: an address, and not a subnet");
        }
        for (LabPrefix other : others) {
            if (other.overlaps(subnet)) {
                throw file.bad(path, text + " overlaps with " + other);
            }
            if (mode == Mode.BRIDGE && other.isIpv4() == subnet.isIpv4()) {
                throw file.bad(path, text + " is the second of its family, after " + other);
            }
        }
        for (LabNetwork network : networks.values()) {
            for (LabPrefix other : network.subnets()) {
                if (other.overlaps(subnet)) {
                    throw file.bad(
                            path, text + " overlaps with " + other + " of " + network.place());
                }
            }
        }
        return subnet;
    }

    private String gateway(String text, List<String> path, List<LabPrefix> subnets, Mode mode)
            throws LabException {
        InetAddress address =
                LabPrefix.address(text)
                        .orElseThrow(
                                () ->
                                        file.bad(
                                                path,
                                                "\""
                                                        + LabFile.printable(text)
                                                        + "\" is not an address"));
        if (!(subnets.isEmpty() && mode == Mode.ROUTE)
                && subnets.stream().noneMatch(subnet -> subnet.contains(address))) {
            throw file.bad(path, text + " is not in a subnet of the network");
        }
        return address.getHostAddress();
    }

    private List<LabPort> ports(String network, JsonNode node, List<String> path, boolean filtering)
            throws LabException {
        List<LabPort> ports = new ArrayList<>();
        for (String text : file.strings(node, path)) {
            String place = file.place(path, text);
            if (ports.size() == MAX_PORTS) {
                throw new LabException(place + ": more than " + MAX_PORTS + " ports");
            }
            try {
                LabPort port = port(network, text, "port" + ports.size(), place);
                if (port.plug().vlans().isPresent() && !filtering) {
                    throw new LabException(VifTables.noFiltering(network));
                }
                ports.add(port);
            } catch (LabException e) {
                throw new LabException(place + ": " + e.getMessage(), e);
            }
        }
        return ports;
    }

    private LabPort port(String network, String text, String name, String place)
            throws LabException {
        LabPort port = PortSpec.parse(text, name, folder, place);
        if (port instanceof LabPort.Tap tap) {
            String other = interfaces.putIfAbsent(tap.interfaceName(), place);
            if (other != null) {
                throw new LabException("name " + tap.interfaceName() + " is taken by " + other);
            }
        }
        vifTables.takePortName(network, port.plug().name(), place);
        return port;
    }

    /// Links lead to other networks, which have a port for each. After all networks.
    private void checkLinks() throws LabException {
        for (LabNetwork network : networks.values()) {
            for (LabPort port : network.ports()) {
                if (port instanceof LabPort.Link link) {
                    String place = link.plug().place();
                    if (link.network().equals(network.name())
                            || !networks.containsKey(link.network())) {
                        throw new LabException(
                                place
                                        + ": name \""
                                        + LabFile.printable(link.network())
                                        + "\" is no other network of this lab"
                                        + Suggestion.of(link.network(), networks.keySet()));
                    }
                    vifTables.takePortName(link.network(), network.name(), place);
                }
            }
        }
    }

    /// Settings are for ports that there are. After all vifs.
    void checkSettings() throws LabException {
        for (LabNetwork network : networks.values()) {
            List<String> ports = vifTables.portNames(network);
            for (Map.Entry<String, PortSettings> port : network.settings().entrySet()) {
                List<String> path = List.of("networks", network.name(), "settings", port.getKey());
                if (!ports.contains(port.getKey())) {
                    throw noPort(path, port.getKey(), ports);
                }
                Optional<String> mirror = port.getValue().mirror();
                if (mirror.isPresent() && !ports.contains(mirror.get())) {
                    throw noPort(LabFile.under(path, "mirror"), mirror.get(), ports);
                }
            }
        }
    }

    private LabException noPort(List<String> path, String name, List<String> ports) {
        return file.bad(
                path,
                "\""
                        + LabFile.printable(name)
                        + "\" is no port of the network"
                        + Suggestion.of(name, ports)
                        + (ports.isEmpty()
                                ? "; it has none"
                                : "; ports are " + String.join(", ", ports)));
    }

    /// Reads `vif` of a domain.
    List<LabVif> vifs(String domain, JsonNode node, List<String> path) throws LabException {
        List<LabVif> vifs = new ArrayList<>();
        Map<Integer, String> devices = new HashMap<>();
        for (String text : file.strings(node, path)) {
            String place = file.place(path, text);
            if (vifs.size() == MAX_VIFS) {
                throw new LabException(place + ": more than " + MAX_VIFS + " vifs");
            }
            try {
                VifSpec spec = VifSpec.parse(text);
                int device = spec.device().orElse(vifs.size());
                String other = devices.putIfAbsent(device, place);
                if (other != null) {
                    throw new LabException("devid " + device + " is taken by " + other);
                }
                vifs.add(vifTables.vif(spec, domain, device, place));
            } catch (LabException e) {
                throw new LabException(place + ": " + e.getMessage(), e);
            }
        }
        return vifs;
    }
}
