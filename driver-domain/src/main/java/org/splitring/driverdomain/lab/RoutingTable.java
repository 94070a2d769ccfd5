package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.splitring.bridge.PortForward;
import org.splitring.bridge.StaticRoute;
import org.splitring.bridge.port.UdpDnsUpstream;
import tools.jackson.databind.JsonNode;

/// Reads what a network in route or NAT mode has besides what every network has.
///
///     dhcp = true                          # or "10.30.0.100-10.30.0.199"
///     advertise = true                     # router advertisements of the IPv6 subnet
///     dns = ["192.0.2.53"]                 # resolvers; without it those of this machine
///     domain = "lab"
///     routes = ["10.9.0.0/16 via 10.30.0.3"]
///     uplink = "tap, name=up0, ip=192.0.2.1/30, address=192.0.2.2/30, via=192.0.2.1"   # NAT
///     forward = ["tcp 8080 to 10.30.0.2:80"]                                           # NAT
final class RoutingTable {
    static final List<String> KEYS =
            List.of("dhcp", "advertise", "dns", "domain", "routes", "uplink", "forward");
    private static final Pattern ROUTE = Pattern.compile("(\\S+)\\s+via\\s+(\\S+)");
    private static final Pattern FORWARD =
            Pattern.compile("(tcp|udp)\\s+(\\d{1,5})\\s+to\\s+(\\d+(?:\\.\\d+){3}):(\\d{1,5})");
    private static final Pattern DOMAIN =
            Pattern.compile("[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63}){0,8}");
    private static final Path RESOLVERS = Path.of("/etc/resolv.conf");
    private static final int DNS_PORT = 53;

    private final LabFile file;
    private final List<String> path;

    /// @param path of the network's table
    RoutingTable(LabFile file, List<String> path) {
        this.file = file;
        this.path = path;
    }

    /// Refuses the keys that a bridge has no use for.
    void refuse(JsonNode table) throws LabException {
        for (String key : KEYS) {
            if (!table.path(key).isMissingNode()) {
                throw file.bad(
                        LabFile.under(path, key), "is for networks of mode route or nat only");
            }
        }
    }

    /// Reads everything but the uplink.
    ///
    /// @param lab path of the lab file
    /// @param subnets of the network
    /// @param given gateways that stand in the file
    LabRouting read(
            String lab,
            JsonNode table,
            LabNetwork.Mode mode,
            List<LabPrefix> subnets,
            List<String> given,
            Optional<String> uplink)
            throws LabException {
        boolean nat = mode == LabNetwork.Mode.NAT;
        List<LabPrefix> gateways = gateways(subnets, given);
        if (nat && gateways.stream().noneMatch(LabPrefix::isIpv4)) {
            throw file.bad(path, "a network of mode nat needs an IPv4 subnet=");
        }
        if (gateways.isEmpty()) {
            throw file.bad(path, "a network of mode route needs subnet= or gateway=");
        }
        if (nat && uplink.isEmpty()) {
            throw file.bad(path, "a network of mode nat needs uplink=");
        }
        if (!nat && !table.path("forward").isMissingNode()) {
            throw file.bad(LabFile.under(path, "forward"), "is for networks of mode nat only");
        }
        return new LabRouting(
                lab,
                gateways,
                routes(table),
                dhcp(table.path("dhcp"), subnets, gateways),
                advertise(table, gateways),
                resolvers(table.path("dns")),
                domain(table.path("domain")),
                uplink,
                forwards(table));
    }

    private boolean advertise(JsonNode table, List<LabPrefix> gateways) throws LabException {
        boolean wanted =
                file.flag(table.path("advertise"), LabFile.under(path, "advertise"), false);
        if (wanted && gateways.stream().noneMatch(own -> !own.isIpv4() && own.bits() == 64)) {
            throw file.bad(
                    LabFile.under(path, "advertise"),
                    "needs an IPv6 subnet= of 64 bits: addresses are made in nothing else");
        }
        return wanted;
    }

    /// A subnet without a gateway in the file has its first host address.
    private static List<LabPrefix> gateways(List<LabPrefix> subnets, List<String> given) {
        List<LabPrefix> gateways = new ArrayList<>();
        List<InetAddress> addresses =
                given.stream().map(text -> LabPrefix.address(text).orElseThrow()).toList();
        for (LabPrefix subnet : subnets) {
            InetAddress own =
                    addresses.stream()
                            .filter(subnet::contains)
                            .findFirst()
                            .orElseGet(() -> plus(subnet.address(), 1));
            gateways.add(new LabPrefix(own, subnet.bits()));
        }
        if (subnets.isEmpty()) {
            addresses.forEach(own -> gateways.add(new LabPrefix(own, own.getAddress().length * 8)));
        }
        return gateways;
    }

    private static InetAddress plus(InetAddress address, long more) {
        byte[] old = address.getAddress();
        byte[] sum = new BigInteger(1, old).add(BigInteger.valueOf(more)).toByteArray();
        byte[] bytes = new byte[old.length];
        int common = Math.min(sum.length, bytes.length);
        System.arraycopy(sum, sum.length - common, bytes, bytes.length - common, common);
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new AssertionError(e);
        }
    }

    private List<StaticRoute> routes(JsonNode table) throws LabException {
        List<String> routesPath = LabFile.under(path, "routes");
        List<StaticRoute> routes = new ArrayList<>();
        for (String text : file.strings(table.path("routes"), routesPath)) {
            String place = file.place(routesPath, text);
            Matcher matcher = ROUTE.matcher(text.strip());
            if (!matcher.matches()) {
                throw new LabException(
                        place + ": \"" + LabFile.printable(text) + "\" is not PREFIX via ADDRESS");
            }
            try {
                routes.add(StaticRoute.of(matcher.group(1), matcher.group(2)));
            } catch (IllegalArgumentException e) {
                throw new LabException(place + ": " + e.getMessage(), e);
            }
        }
        return routes;
    }

    private List<PortForward> forwards(JsonNode table) throws LabException {
        List<String> forwardPath = LabFile.under(path, "forward");
        List<PortForward> forwards = new ArrayList<>();
        for (String text : file.strings(table.path("forward"), forwardPath)) {
            String place = file.place(forwardPath, text);
            Matcher matcher = FORWARD.matcher(text.strip());
            if (!matcher.matches()) {
                throw new LabException(
                        place
                                + ": \""
                                + LabFile.printable(text)
                                + "\" is not tcp|udp PORT to ADDRESS:PORT");
            }
            try {
                forwards.add(
                        new PortForward(
                                matcher.group(1).equals("tcp")
                                        ? PortForward.Protocol.TCP
                                        : PortForward.Protocol.UDP,
                                Integer.parseInt(matcher.group(2)),
                                InetAddress.ofLiteral(matcher.group(3)),
                                Integer.parseInt(matcher.group(4))));
            } catch (IllegalArgumentException e) {
                throw new LabException(place + ": " + e.getMessage(), e);
            }
        }
        return forwards;
    }

    /// With `true`: the upper half of the first IPv4 subnet.
    private Optional<LabRouting.Range> dhcp(
            JsonNode node, List<LabPrefix> subnets, List<LabPrefix> gateways) throws LabException {
        List<String> dhcpPath = LabFile.under(path, "dhcp");
        if (node.isMissingNode() || (node.isBoolean() && !node.booleanValue())) {
            return Optional.empty();
        }
        Optional<LabPrefix> subnet = subnets.stream().filter(LabPrefix::isIpv4).findFirst();
        if (subnet.isEmpty()) {
            throw file.bad(dhcpPath, "needs an IPv4 subnet=");
        }
        if (node.isBoolean()) {
            long size = 1L << (32 - subnet.get().bits());
            if (size < 8) {
                throw file.bad(dhcpPath, "there is no room in " + subnet.get());
            }
            InetAddress net = subnet.get().address();
            return Optional.of(new LabRouting.Range(plus(net, size / 2), plus(net, size - 2)));
        }
        String text = LabFile.text(node);
        String[] ends = text.split("-", -1);
        Optional<InetAddress> first = LabPrefix.address(ends[0].strip());
        Optional<InetAddress> last = LabPrefix.address(ends[ends.length - 1].strip());
        if (ends.length != 2 || first.isEmpty() || last.isEmpty()) {
            throw file.bad(dhcpPath, "\"" + text + "\" is neither true nor FIRST-LAST");
        }
        for (InetAddress end : List.of(first.get(), last.get())) {
            if (gateways.stream().noneMatch(each -> each.isIpv4() && each.contains(end))) {
                throw file.bad(dhcpPath, end.getHostAddress() + " is in no IPv4 subnet");
            }
        }
        return Optional.of(new LabRouting.Range(first.get(), last.get()));
    }

    private List<InetSocketAddress> resolvers(JsonNode node) throws LabException {
        List<String> dnsPath = LabFile.under(path, "dns");
        List<String> texts = node.isMissingNode() ? ofThisMachine() : file.strings(node, dnsPath);
        if (texts.size() > UdpDnsUpstream.MAX_SERVERS) {
            throw file.bad(
                    dnsPath,
                    texts.size() + " resolvers are more than " + UdpDnsUpstream.MAX_SERVERS);
        }
        List<InetSocketAddress> resolvers = new ArrayList<>();
        for (String text : texts) {
            resolvers.add(
                    LabPrefix.address(text)
                            .map(address -> new InetSocketAddress(address, DNS_PORT))
                            .or(() -> PortSpec.withPort(text))
                            .orElseThrow(
                                    () ->
                                            new LabException(
                                                    file.place(dnsPath, text)
                                                            + ": \""
                                                            + LabFile.printable(text)
                                                            + "\" is not the address of a"
                                                            + " resolver")));
        }
        return resolvers;
    }

    /// None when that file is not there or says none.
    private static List<String> ofThisMachine() {
        try {
            return Files.readAllLines(RESOLVERS).stream()
                    .map(line -> line.strip().split("\\s+"))
                    .filter(words -> words.length == 2 && words[0].equals("nameserver"))
                    .map(words -> words[1])
                    .filter(text -> LabPrefix.address(text).isPresent())
                    .limit(UdpDnsUpstream.MAX_SERVERS)
                    .toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    private Optional<String> domain(JsonNode node) throws LabException {
        if (node.isMissingNode()) {
            return Optional.empty();
        }
        if (!node.isString() || !DOMAIN.matcher(node.stringValue()).matches()) {
            throw file.bad(
                    LabFile.under(path, "domain"),
                    "\"" + LabFile.text(node) + "\" is not the name of a domain");
        }
        return Optional.of(node.stringValue());
    }
}
