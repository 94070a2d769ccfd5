package org.splitring.bridge;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// What is configured for a NAT. Immutable, and wrong settings cannot be made; [Nat#configure]
/// replaces it while traffic flows.
///
/// @param guests the inside: interfaces with the guests' ports and the gateway's addresses
/// @param uplink the outside: one port, and one IPv4 address that all guests appear under
/// @param gateway the router outside; empty when only the uplink's own subnet can be reached
/// @param forwards what may come in unasked
/// @param routes to what is behind other routers, inside or outside
/// @param dns what the gateway answers on its UDP port 53; nothing without
public record NatSettings(
        List<RouterInterface> guests,
        RouterInterface uplink,
        Optional<InetAddress> gateway,
        List<PortForward> forwards,
        List<StaticRoute> routes,
        Optional<DnsSettings> dns,
        RouterLimits limits,
        NatLimits natLimits) {
    /// Most port forwards.
    public static final int MAX_FORWARDS = 4096;

    public NatSettings {
        guests = List.copyOf(guests);
        forwards = List.copyOf(forwards);
        routes = List.copyOf(routes);
        if (uplink.ports().size() != 1) {
            throw new IllegalArgumentException(
                    "uplink " + uplink.name() + " has ports " + uplink.ports() + ", not one");
        }
        if (uplink.dhcp().isPresent()) {
            throw new IllegalArgumentException(
                    "uplink " + uplink.name() + ": DHCP is served to guests only");
        }
        long addresses = uplink.addresses().stream().filter(a -> IpWords.isV4(a.address())).count();
        if (addresses != 1) {
            throw new IllegalArgumentException(
                    "uplink " + uplink.name() + " has " + addresses + " IPv4 addresses, not one");
        }
        checkForwards(guests, forwards);
        var _ = routing(guests, uplink, gateway, routes, dns, limits);
    }

    /// A NAT with the default limits and without port forwards.
    ///
    /// @param gateway the literal of the outside router's address
    public static NatSettings of(RouterInterface guests, RouterInterface uplink, String gateway) {
        return new NatSettings(
                List.of(guests),
                uplink,
                Optional.of(InetAddress.ofLiteral(gateway)),
                List.of(),
                List.of(),
                Optional.empty(),
                RouterLimits.DEFAULT,
                NatLimits.DEFAULT);
    }

    public NatSettings withForwards(List<PortForward> now) {
        return new NatSettings(guests, uplink, gateway, now, routes, dns, limits, natLimits);
    }

    public NatSettings withRoutes(List<StaticRoute> now) {
        return new NatSettings(guests, uplink, gateway, forwards, now, dns, limits, natLimits);
    }

    public NatSettings withDns(DnsSettings now) {
        return new NatSettings(
                guests, uplink, gateway, forwards, routes, Optional.of(now), limits, natLimits);
    }

    public NatSettings withGuests(List<RouterInterface> now) {
        return new NatSettings(now, uplink, gateway, forwards, routes, dns, limits, natLimits);
    }

    public NatSettings withNatLimits(NatLimits now) {
        return new NatSettings(guests, uplink, gateway, forwards, routes, dns, limits, now);
    }

    /// The address that guests appear under outside.
    int publicAddress() {
        return uplink.addresses().stream()
                .filter(a -> IpWords.isV4(a.address()))
                .mapToInt(a -> IpWords.v4(a.address()))
                .findFirst()
                .orElseThrow();
    }

    RouteSettings routing() {
        return routing(guests, uplink, gateway, routes, dns, limits);
    }

    private static RouteSettings routing(
            List<RouterInterface> guests,
            RouterInterface uplink,
            Optional<InetAddress> gateway,
            List<StaticRoute> routes,
            Optional<DnsSettings> dns,
            RouterLimits limits) {
        List<RouterInterface> all = new ArrayList<>(guests);
        all.add(uplink);
        List<StaticRoute> allRoutes = new ArrayList<>(routes);
        if (gateway.isPresent()) {
            String prefix = IpWords.isV4(gateway.get()) ? "0.0.0.0/0" : "::/0";
            if (!RouteSettings.isOnLink(uplink, gateway.get())) {
                throw new IllegalArgumentException(
                        "gateway "
                                + gateway.get().getHostAddress()
                                + " is not in the uplink's subnet "
                                + uplink.addresses());
            }
            allRoutes.add(new StaticRoute(IpPrefix.parse(prefix), gateway.get()));
        }
        return new RouteSettings(all, allRoutes, dns, limits);
    }

    private static void checkForwards(List<RouterInterface> guests, List<PortForward> forwards) {
        if (forwards.size() > MAX_FORWARDS) {
            throw new IllegalArgumentException(
                    forwards.size() + " port forwards, at most " + MAX_FORWARDS);
        }
        Set<String> used = new HashSet<>();
        for (PortForward each : forwards) {
            if (!used.add(each.protocol() + " " + each.publicPort())) {
                throw new IllegalArgumentException(
                        "port forward "
                                + each
                                + ": "
                                + each.protocol()
                                + " port "
                                + each.publicPort()
                                + " is forwarded already");
            }
            if (guests.stream().noneMatch(g -> RouteSettings.isOnLink(g, each.guest()))) {
                throw new IllegalArgumentException(
                        "port forward "
                                + each
                                + ": "
                                + each.guest().getHostAddress()
                                + " is in no subnet of the guests");
            }
        }
    }
}
