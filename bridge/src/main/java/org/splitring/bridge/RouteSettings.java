package org.splitring.bridge;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What is configured for a router. Immutable, and wrong settings cannot be made;
/// [Router#configure] replaces it while traffic flows.
///
/// @param interfaces its sides; subnets of two of them may not overlap
/// @param routes to what is behind other routers
/// @param dns what the router answers on its UDP port 53; nothing without
public record RouteSettings(
        List<RouterInterface> interfaces,
        List<StaticRoute> routes,
        Optional<DnsSettings> dns,
        RouterLimits limits) {
    /// Most routes of a router, those to hosts included.
    public static final int MAX_ROUTES = 1 << 16;

    public RouteSettings {
        interfaces = List.copyOf(interfaces);
        routes = List.copyOf(routes);
        checkNames(interfaces);
        checkSubnets(interfaces);
        checkAddresses(interfaces);
        checkRoutes(interfaces, routes);
    }

    /// A router with the default limits and neither static routes nor DNS.
    public static RouteSettings of(List<RouterInterface> interfaces) {
        return new RouteSettings(interfaces, List.of(), Optional.empty(), RouterLimits.DEFAULT);
    }

    public RouteSettings withInterfaces(List<RouterInterface> now) {
        return new RouteSettings(now, routes, dns, limits);
    }

    public RouteSettings withRoutes(List<StaticRoute> now) {
        return new RouteSettings(interfaces, now, dns, limits);
    }

    public RouteSettings withDns(DnsSettings now) {
        return new RouteSettings(interfaces, routes, Optional.of(now), limits);
    }

    public RouteSettings withLimits(RouterLimits now) {
        return new RouteSettings(interfaces, routes, dns, now);
    }

    /// The interface that a port of that name is on.
    Optional<RouterInterface> interfaceOf(String port) {
        Optional<RouterInterface> named =
                interfaces.stream().filter(i -> i.ports().contains(port)).findFirst();
        return named.isPresent()
                ? named
                : interfaces.stream().filter(i -> i.ports().isEmpty()).findFirst();
    }

    private static void checkNames(List<RouterInterface> interfaces) {
        Set<String> names = new HashSet<>();
        Map<String, String> ports = new HashMap<>();
        String open = null;
        for (RouterInterface each : interfaces) {
            if (!names.add(each.name())) {
                throw new IllegalArgumentException("two interfaces are called " + each.name());
            }
            if (each.ports().isEmpty()) {
                if (open != null) {
                    throw new IllegalArgumentException(
                            "interfaces "
                                    + open
                                    + " and "
                                    + each.name()
                                    + " both have all other ports");
                }
                open = each.name();
            }
            for (String port : each.ports()) {
                String other = ports.put(port, each.name());
                if (other != null) {
                    throw new IllegalArgumentException(
                            "port " + port + " is at interfaces " + other + " and " + each.name());
                }
            }
        }
    }

    private static void checkSubnets(List<RouterInterface> interfaces) {
        record Placed(IpPrefix subnet, String where) {}
        List<Placed> placed = new ArrayList<>();
        for (RouterInterface each : interfaces) {
            for (InterfaceAddress address : each.addresses()) {
                IpPrefix subnet = address.subnet();
                for (Placed other : placed) {
                    // Two addresses in one subnet of one interface are fine.
                    boolean same = other.where.equals(each.name()) && other.subnet.equals(subnet);
                    if (!same && overlap(other.subnet, subnet)) {
                        throw new IllegalArgumentException(
                                "subnet "
                                        + subnet
                                        + " of interface "
                                        + each.name()
                                        + " overlaps "
                                        + other.subnet
                                        + " of "
                                        + other.where);
                    }
                }
                placed.add(new Placed(subnet, each.name()));
            }
        }
    }

    static boolean overlap(IpPrefix one, IpPrefix other) {
        return one.first().compareTo(other.last()) <= 0 && other.first().compareTo(one.last()) <= 0;
    }

    private static void checkAddresses(List<RouterInterface> interfaces) {
        Map<InetAddress, String> owners = new HashMap<>();
        int count = 0;
        for (RouterInterface each : interfaces) {
            for (InterfaceAddress address : each.addresses()) {
                give(owners, address.address(), "interface " + each.name());
            }
            count += each.hosts().size();
        }
        if (count > MAX_ROUTES / 2) {
            throw new IllegalArgumentException(count + " host routes, at most " + MAX_ROUTES / 2);
        }
        for (RouterInterface each : interfaces) {
            for (HostRoute host : each.hosts()) {
                give(owners, host.address(), "port " + host.port());
                for (RouterInterface other : interfaces) {
                    for (InterfaceAddress address : other.addresses()) {
                        if (!other.name().equals(each.name())
                                && IpWords.contains(address.subnet(), host.address())) {
                            throw new IllegalArgumentException(
                                    "host "
                                            + host
                                            + " of interface "
                                            + each.name()
                                            + " is in subnet "
                                            + address.subnet()
                                            + " of "
                                            + other.name());
                        }
                    }
                }
            }
        }
    }

    private static void give(Map<InetAddress, String> owners, InetAddress address, String to) {
        String other = owners.put(address, to);
        if (other != null) {
            throw new IllegalArgumentException(
                    "address " + address.getHostAddress() + " is given to " + other + " and " + to);
        }
    }

    private static void checkRoutes(List<RouterInterface> interfaces, List<StaticRoute> routes) {
        if (routes.size() > MAX_ROUTES / 4) {
            throw new IllegalArgumentException(
                    routes.size() + " static routes, at most " + MAX_ROUTES / 4);
        }
        Set<IpPrefix> prefixes = new HashSet<>();
        for (RouterInterface each : interfaces) {
            each.addresses().forEach(a -> prefixes.add(a.subnet()));
            each.hosts().forEach(h -> prefixes.add(IpPrefix.parse(h.address().getHostAddress())));
        }
        for (StaticRoute route : routes) {
            if (!prefixes.add(route.prefix())) {
                throw new IllegalArgumentException(
                        "route " + route + ": there is a route for " + route.prefix() + " already");
            }
            if (interfaces.stream().noneMatch(i -> isOnLink(i, route.via()))) {
                throw new IllegalArgumentException(
                        "route "
                                + route
                                + ": "
                                + route.via().getHostAddress()
                                + " is in no subnet of this router");
            }
        }
    }

    static boolean isOnLink(RouterInterface each, InetAddress address) {
        return each.addresses().stream()
                        .anyMatch(
                                a ->
                                        IpWords.contains(a.subnet(), address)
                                                && !a.address().equals(address))
                || each.hosts().stream().anyMatch(h -> h.address().equals(address));
    }
}
