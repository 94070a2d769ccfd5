package org.splitring.driverdomain.lab;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Optional;
import org.splitring.bridge.PortForward;
import org.splitring.bridge.StaticRoute;

/// What a network in route or NAT mode has beyond a bridge.
///
/// @param lab the lab file: a router's MAC addresses are made of it, and stay the same
/// @param gateways the router's own addresses on the guests' side, each with its subnet's length
/// @param routes to what is behind other routers
/// @param dhcp the addresses that guests may have from DHCP; no server without
/// @param advertise whether guests get IPv6 addresses from router advertisements
/// @param resolvers whom the gateway asks for names that it does not know itself
/// @param domain that guests' names also have at their end
/// @param uplink name of the port to the outside; of a NAT
/// @param forwards what a NAT lets in
public record LabRouting(
        String lab,
        List<LabPrefix> gateways,
        List<StaticRoute> routes,
        Optional<Range> dhcp,
        boolean advertise,
        List<InetSocketAddress> resolvers,
        Optional<String> domain,
        Optional<String> uplink,
        List<PortForward> forwards) {
    public LabRouting {
        gateways = List.copyOf(gateways);
        routes = List.copyOf(routes);
        resolvers = List.copyOf(resolvers);
        forwards = List.copyOf(forwards);
    }

    /// Addresses from the first to the last.
    public record Range(InetAddress first, InetAddress last) {}
}
