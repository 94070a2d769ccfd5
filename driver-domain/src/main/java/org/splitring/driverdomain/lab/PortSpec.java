package org.splitring.driverdomain.lab;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.splitring.bridge.InterfaceAddress;
import org.splitring.bridge.PortVlans;
import org.splitring.driverdomain.lab.LabPort.Address;
import org.splitring.driverdomain.net.VxlanPort;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.hypervisor.linux.UnixSocket;

/// One string of a network's `ports`: a kind, and `key=value` as in `vif`.
///
/// Every kind also has `vifname`, what the network calls the port, and `vlan` as in `vif`; in a
/// network of mode route or nat `address`, the router's own at this port, and `via`, the router
/// outside.
///
///     tap, name=lan0, ip=10.0.0.254/24
///     stream, listen=./vm.sock          stream, connect=127.0.0.1:5555
///     dgram, local=./a.sock, peer=./b.sock
///     network, name=backbone
///     vxlan, vni=42, local=10.9.0.1, peers=10.9.0.2 10.9.0.3:4790
final class PortSpec {
    private static final Map<String, List<String>> KEYS =
            Map.of(
                    "tap", List.of("name", "ip"),
                    "stream", List.of("listen", "connect"),
                    "dgram", List.of("local", "peer"),
                    "vxlan", List.of("vni", "local", "peers"),
                    "network", List.of("name"));
    private static final List<String> COMMON_KEYS = List.of("vifname", "vlan", "address", "via");
    private static final int MAX_VNI = 0xFF_FFFF;

    private static final Pattern PORT_NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,31}");

    private final String kind;
    private final Map<String, String> values = new LinkedHashMap<>();
    private final Path folder;

    private PortSpec(String kind, Path folder) {
        this.kind = kind;
        this.folder = folder;
    }

    /// @param name of the port
    /// @param folder that paths start at
    static LabPort parse(String text, String name, Path folder, String place) throws LabException {
        String[] items = text.split(",", -1);
        String kind = items[0].strip();
        List<String> own = KEYS.get(kind);
        if (own == null) {
            throw new LabException(
                    "\""
                            + LabFile.printable(kind)
                            + "\" is no kind of port"
                            + Suggestion.of(kind, KEYS.keySet())
                            + "; there are "
                            + String.join(", ", KEYS.keySet().stream().sorted().toList()));
        }
        List<String> known = new ArrayList<>(own);
        known.addAll(COMMON_KEYS);
        PortSpec spec = new PortSpec(kind, folder);
        for (int i = 1; i < items.length; i++) {
            spec.take(items[i].strip(), known);
        }
        LabPort.Plug plug =
                spec.plug(
                        kind.equals("tap") || kind.equals("network")
                                ? spec.values.getOrDefault("name", name)
                                : name,
                        place);
        return switch (kind) {
            case "tap" -> spec.tap(plug);
            case "stream" -> spec.stream(plug);
            case "dgram" ->
                    new LabPort.Datagram(
                            plug,
                            spec.address(spec.needed("local")),
                            spec.address(spec.needed("peer")));
            case "network" -> new LabPort.Link(plug, spec.needed("name"));
            default -> spec.vxlan(plug);
        };
    }

    private LabPort.Plug plug(String name, String place) throws LabException {
        String given = values.getOrDefault("vifname", name);
        if (!PORT_NAME.matcher(given).matches()) {
            throw new LabException(
                    "vifname \""
                            + LabFile.printable(given)
                            + "\" is not up to 32 letters, digits and ._-");
        }
        String vlan = values.get("vlan");
        try {
            List<InterfaceAddress> addresses = new ArrayList<>();
            for (String text : values.getOrDefault("address", "").split("\\s+", -1)) {
                if (!text.isEmpty()) {
                    addresses.add(InterfaceAddress.parse(text));
                }
            }
            Optional<InetAddress> via =
                    Optional.ofNullable(values.get("via")).map(InetAddress::ofLiteral);
            return new LabPort.Plug(
                    given, Optional.ofNullable(vlan).map(PortVlans::parse), addresses, via, place);
        } catch (IllegalArgumentException e) {
            throw new LabException(String.valueOf(e.getMessage()), e);
        }
    }

    private void take(String item, List<String> known) throws LabException {
        int equals = item.indexOf('=');
        String key = equals < 0 ? item : item.substring(0, equals).strip();
        if (equals < 0 || !known.contains(key)) {
            throw new LabException(
                    "\""
                            + LabFile.printable(item)
                            + "\" is no KEY=VALUE of a "
                            + kind
                            + " port"
                            + Suggestion.of(key, known)
                            + "; keys are "
                            + String.join(", ", known));
        }
        if (values.put(key, item.substring(equals + 1).strip()) != null) {
            throw new LabException("\"" + key + "\" is given twice");
        }
    }

    private String needed(String key) throws LabException {
        String value = values.get(key);
        if (value == null || value.isEmpty()) {
            throw new LabException("a " + kind + " port needs " + key + "=");
        }
        return value;
    }

    private LabPort tap(LabPort.Plug plug) throws LabException {
        String interfaceName = needed("name");
        Optional<String> problem = TapDevice.nameProblem(interfaceName);
        if (problem.isPresent()) {
            throw new LabException("name " + problem.get());
        }
        List<LabPrefix> addresses = new ArrayList<>();
        for (String text : values.getOrDefault("ip", "").split("\\s+", -1)) {
            if (!text.isEmpty()) {
                addresses.add(
                        LabPrefix.parse(text)
                                .orElseThrow(
                                        () ->
                                                new LabException(
                                                        "ip \""
                                                                + LabFile.printable(text)
                                                                + "\" is not an address like"
                                                                + " 10.0.0.254/24")));
            }
        }
        return new LabPort.Tap(plug, interfaceName, addresses);
    }

    private LabPort stream(LabPort.Plug plug) throws LabException {
        boolean listens = values.containsKey("listen");
        if (listens == values.containsKey("connect")) {
            throw new LabException("a stream port needs either listen= or connect=");
        }
        Address address = address(needed(listens ? "listen" : "connect"));
        return new LabPort.Stream(plug, address, listens);
    }

    private LabPort vxlan(LabPort.Plug plug) throws LabException {
        String vni = needed("vni");
        if (!vni.matches("\\d{1,8}") || Integer.parseInt(vni) > MAX_VNI) {
            throw new LabException("vni \"" + vni + "\" is not between 0 and " + MAX_VNI);
        }
        List<InetSocketAddress> peers = new ArrayList<>();
        for (String peer : needed("peers").split("\\s+", -1)) {
            peers.add(endpoint("peers", peer));
        }
        if (peers.size() > VxlanPort.MAX_PEERS) {
            throw new LabException(peers.size() + " peers are more than " + VxlanPort.MAX_PEERS);
        }
        return new LabPort.Vxlan(
                plug, Integer.parseInt(vni), endpoint("local", needed("local")), peers);
    }

    private static InetSocketAddress endpoint(String key, String text) throws LabException {
        Optional<InetSocketAddress> parsed =
                LabPrefix.address(text)
                        .map(address -> new InetSocketAddress(address, VxlanPort.UDP_PORT))
                        .or(() -> withPort(text));
        return parsed.orElseThrow(
                () ->
                        new LabException(
                                key
                                        + " \""
                                        + LabFile.printable(text)
                                        + "\" is not ADDRESS or ADDRESS:PORT, with [] around an"
                                        + " IPv6 address before a port"));
    }

    static Optional<InetSocketAddress> withPort(String text) {
        int colon = text.lastIndexOf(':');
        if (colon < 0 || !text.substring(colon + 1).matches("\\d{1,5}")) {
            return Optional.empty();
        }
        int port = Integer.parseInt(text.substring(colon + 1));
        String host = text.substring(0, colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        Optional<InetAddress> address =
                LabPrefix.address(bracketed ? host.substring(1, host.length() - 1) : host)
                        .filter(found -> bracketed == (found.getAddress().length == 16));
        return port < 1 || port > 65_535
                ? Optional.empty()
                : address.map(found -> new InetSocketAddress(found, port));
    }

    /// A Unix socket when there is a `/` in it, else loopback.
    private Address address(String text) throws LabException {
        if (text.indexOf('/') < 0) {
            InetSocketAddress address =
                    withPort(text)
                            .orElseThrow(
                                    () ->
                                            new LabException(
                                                    "\""
                                                            + LabFile.printable(text)
                                                            + "\" is neither a path with a / nor"
                                                            + " ADDRESS:PORT"));
            if (!address.getAddress().isLoopbackAddress()) {
                throw new LabException(
                        "\"" + text + "\" is not on loopback: frames have no protection there");
            }
            return new LabPort.LoopbackAddress(address);
        }
        try {
            Path path = folder.toAbsolutePath().resolve(text).normalize();
            int bytes = path.toString().getBytes(StandardCharsets.UTF_8).length;
            if (bytes > UnixSocket.MAX_PATH_BYTES) {
                throw new LabException(
                        path
                                + " has "
                                + bytes
                                + " bytes, and the path of a socket at most "
                                + UnixSocket.MAX_PATH_BYTES);
            }
            return new LabPort.UnixAddress(path);
        } catch (InvalidPathException e) {
            throw new LabException("\"" + LabFile.printable(text) + "\" is not a path", e);
        }
    }
}
