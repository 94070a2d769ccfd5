package org.splitring.driverdomain.lab;

import java.net.InetAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import org.splitring.bridge.MacAddress;

/// The vifs of a lab, checked against its networks and against each other: no address, no name of
/// a port is there twice.
public final class VifTables {
    private final String lab;
    private final Map<String, LabNetwork> networks;
    private final Map<MacAddress, String> macs = new HashMap<>();
    private final Map<InetAddress, String> addresses = new HashMap<>();
    private final Map<String, String> portNames = new HashMap<>();

    /// @param file the lab's
    /// @param networks by their names; may grow
    VifTables(Path file, Map<String, LabNetwork> networks) {
        lab = file.toAbsolutePath().normalize().toString();
        this.networks = networks;
    }

    /// For a lab that runs, and in which nothing is taken yet.
    public static VifTables of(Lab lab) {
        Map<String, LabNetwork> networks = new LinkedHashMap<>();
        lab.networks().forEach(network -> networks.put(network.name(), network));
        VifTables tables = new VifTables(lab.file(), networks);
        for (LabNetwork network : lab.networks()) {
            for (LabPort port : network.ports()) {
                String name = network.name() + "/" + port.plug().name();
                tables.portNames.put(name, port.plug().place());
                if (port instanceof LabPort.Link link) {
                    tables.portNames.put(
                            link.network() + "/" + network.name(), port.plug().place());
                }
            }
        }
        return tables;
    }

    /// Says that a vif is there.
    ///
    /// @param owner for messages
    /// @param backend what stands in its backend's folder ([LabVif#backendKeys])
    public void take(String owner, Map<String, String> backend) {
        try {
            macs.put(MacAddress.parse(backend.getOrDefault("mac", "")), owner);
        } catch (IllegalArgumentException e) {
            // Somebody else than us has made it, without an address that anybody could have again.
        }
        for (String ip : backend.getOrDefault("ip", "").split(" ", -1)) {
            LabPrefix.address(ip).ifPresent(address -> addresses.put(address, owner));
        }
        String network = backend.getOrDefault("bridge", "");
        portNames.put(network + "/" + backend.getOrDefault("vifname", ""), owner);
    }

    /// Plans a vif that is given in xl's syntax.
    ///
    /// @param device its number when the text has none
    /// @param owner for messages
    /// @throws LabException with what is wrong, without the place
    public LabVif plan(String text, String domain, int device, String owner) throws LabException {
        VifSpec spec = VifSpec.parse(text);
        return vif(spec, domain, spec.device().orElse(device), owner);
    }

    /// The ports of a network, vifs and others, in order.
    List<String> portNames(LabNetwork network) {
        return portNames.keySet().stream()
                .filter(name -> name.startsWith(network.name() + "/"))
                .map(name -> name.substring(network.name().length() + 1))
                .sorted()
                .toList();
    }

    static String noFiltering(String network) {
        return "vlan= needs vlan_filtering = true in [networks." + network + "]";
    }

    void takePortName(String network, String port, String place) throws LabException {
        String other = portNames.putIfAbsent(network + "/" + port, place);
        if (other != null) {
            throw new LabException("vifname " + port + " is taken by " + other);
        }
    }

    LabVif vif(VifSpec spec, String domain, int device, String place) throws LabException {
        LabNetwork network = network(spec.bridge());
        String script = "vif-" + network.mode().text(); // xl's for this mode
        if (spec.script().isPresent() && !spec.script().get().equals(script)) {
            throw new LabException(
                    "script \""
                            + LabFile.printable(spec.script().get())
                            + "\" is not run: network "
                            + network.name()
                            + " has mode "
                            + network.mode().text()
                            + ", which is what "
                            + script
                            + " does");
        }
        if (spec.vlan().isPresent() && !network.vlanFiltering()) {
            throw new LabException(noFiltering(network.name()));
        }
        MacAddress mac = mac(spec.mac(), domain, device, place);
        List<String> ips = new ArrayList<>();
        for (String ip : spec.ips()) {
            ips.add(address(ip, network, place));
        }
        String port = spec.portName().orElse(domain + "." + device);
        takePortName(network.name(), port, place);
        int mtu = spec.mtu().orElse(network.mtu());
        if (mtu > network.mtu()) {
            throw new LabException(
                    "mtu "
                            + mtu
                            + " is more than network "
                            + network.name()
                            + " has, "
                            + network.mtu());
        }
        return new LabVif(
                device,
                domain,
                mac,
                network.name(),
                port,
                ips,
                gateways(network, ips),
                spec.rate().map(XlRate::toString),
                mtu,
                spec.vlan(),
                place);
    }

    private LabNetwork network(Optional<String> bridge) throws LabException {
        if (networks.isEmpty()) {
            throw new LabException("there is no network to be in: [networks.NAME] makes one");
        }
        if (bridge.isEmpty()) {
            if (networks.size() > 1) {
                throw new LabException(
                        "bridge= is missing, and networks are "
                                + String.join(", ", networks.keySet()));
            }
            return networks.values().iterator().next();
        }
        LabNetwork network = networks.get(bridge.get());
        if (network == null) {
            throw new LabException(
                    "bridge \""
                            + LabFile.printable(bridge.get())
                            + "\" is no network of this lab"
                            + Suggestion.of(bridge.get(), networks.keySet())
                            + "; networks are "
                            + String.join(", ", networks.keySet()));
        }
        return network;
    }

    private MacAddress mac(Optional<MacAddress> given, String domain, int device, String place)
            throws LabException {
        if (given.isPresent()) {
            String other = macs.putIfAbsent(given.get(), place);
            if (other != null) {
                throw new LabException("mac " + given.get() + " is taken by " + other);
            }
            return given.get();
        }
        for (int attempt = 0; ; attempt++) {
            MacAddress made = VifMac.made(lab, domain, device, attempt);
            if (macs.putIfAbsent(made, place) == null) {
                return made;
            }
        }
    }

    private String address(String text, LabNetwork network, String place) throws LabException {
        Optional<LabPrefix> own = LabPrefix.parse(text);
        InetAddress address =
                own.map(LabPrefix::address).or(() -> LabPrefix.address(text)).orElseThrow();
        Optional<LabPrefix> subnet =
                network.subnets().stream().filter(each -> each.contains(address)).findFirst();
        if (subnet.isEmpty()
                && !network.subnets().isEmpty()
                && network.mode() != LabNetwork.Mode.ROUTE) {
            throw new LabException(
                    "ip "
                            + text
                            + " is not in network "
                            + network.name()
                            + ", "
                            + String.join(
                                    " ",
                                    network.subnets().stream().map(LabPrefix::toString).toList()));
        }
        boolean host = network.mode() == LabNetwork.Mode.ROUTE && subnet.isEmpty();
        if (own.isEmpty() && subnet.isEmpty() && !host) {
            throw new LabException(
                    "ip "
                            + text
                            + " has no prefix length, and network "
                            + network.name()
                            + " no subnet");
        }
        LabPrefix with =
                new LabPrefix(
                        address,
                        own.map(LabPrefix::bits)
                                .orElseGet(
                                        () ->
                                                subnet.map(LabPrefix::bits)
                                                        .orElse(address.getAddress().length * 8)));
        if (network.gateways().contains(address.getHostAddress())
                && network.mode() != LabNetwork.Mode.BRIDGE) {
            throw new LabException("ip " + text + " is the gateway's own");
        }
        if (with.isIpv4() && with.bits() < 31 && (with.isSubnet() || with.isBroadcast())) {
            throw new LabException("ip " + text + " is no host's: " + with);
        }
        String other = addresses.putIfAbsent(address, place);
        if (other != null) {
            throw new LabException("ip " + text + " is taken by " + other);
        }
        return with.toString();
    }

    /// One of each family that the guest has, and none that is the guest itself: the one in its
    /// subnet, else the first.
    private static List<String> gateways(LabNetwork network, List<String> ips) {
        List<String> gateways = new ArrayList<>();
        for (boolean six : List.of(false, true)) {
            List<String> mine = ips.stream().filter(ip -> isIpv6(ip) == six).toList();
            List<String> all =
                    network.gateways().stream()
                            .filter(gateway -> isIpv6(gateway) == six)
                            .filter(gateway -> mine.stream().noneMatch(isOf(gateway)))
                            .toList();
            if (mine.isEmpty() || all.isEmpty()) {
                continue;
            }
            LabPrefix own = LabPrefix.parse(mine.getFirst()).orElseThrow();
            gateways.add(
                    all.stream()
                            .filter(gateway -> own.contains(InetAddress.ofLiteral(gateway)))
                            .findFirst()
                            .orElse(all.getFirst()));
        }
        return gateways;
    }

    private static Predicate<String> isOf(String gateway) {
        return ip -> ip.startsWith(gateway + "/");
    }

    private static boolean isIpv6(String address) {
        return address.indexOf(':') >= 0;
    }
}
