package org.splitring.bridge;

import java.util.List;
import java.util.Optional;

/// One side of a router: its addresses there, and the ports that are on that side.
///
/// Several ports may share an interface and so its subnets: guests of one NAT network do. The
/// router does not switch between them. It answers ARP and neighbour solicitations for what lives
/// at another port with its own MAC address, and routes (RFC 1027, RFC 4389).
///
/// @param name for people and messages, unique in its router
/// @param addresses the router's own here, each the gateway of its subnet
/// @param ports names of the ports; empty when it has all ports that no other interface names
/// @param mac the router's own address here; another one for each interface that shares a switch
///     with another router
/// @param hosts addresses that live at one port of this interface
/// @param dhcp what a DHCP server tells the guests; none runs without
/// @param advertises whether router advertisements give hosts here this router, and addresses in
///     its IPv6 subnets of 64 bits (RFC 4861, RFC 4862)
public record RouterInterface(
        String name,
        List<InterfaceAddress> addresses,
        List<String> ports,
        MacAddress mac,
        List<HostRoute> hosts,
        Optional<DhcpSettings> dhcp,
        boolean advertises) {
    /// What Xen's scripts give to the backend's end of a vif: fe:ff:ff:ff:ff:ff.
    public static final MacAddress BACKEND_MAC = new MacAddress(0xFEFF_FFFF_FFFFL);

    /// Most addresses of one interface.
    public static final int MAX_ADDRESSES = 16;

    public RouterInterface {
        addresses = List.copyOf(addresses);
        ports = List.copyOf(ports);
        hosts = List.copyOf(hosts);
        if (name.isEmpty()) {
            throw new IllegalArgumentException("an interface has no name");
        }
        if (mac.isGroup() || mac.value() == 0) {
            throw new IllegalArgumentException(
                    "interface " + name + ": " + mac + " is no MAC address of its own");
        }
        if (addresses.size() > MAX_ADDRESSES) {
            throw new IllegalArgumentException(
                    "interface "
                            + name
                            + ": "
                            + addresses.size()
                            + " addresses, at most "
                            + MAX_ADDRESSES);
        }
        for (HostRoute host : hosts) {
            if (!ports.isEmpty() && !ports.contains(host.port())) {
                throw new IllegalArgumentException(
                        "interface " + name + ": host " + host + " is at none of its ports");
            }
        }
        if (advertises && addresses.stream().noneMatch(InterfaceAddress::isAutonomous)) {
            throw new IllegalArgumentException(
                    "interface " + name + " has no IPv6 subnet of 64 bits to advertise");
        }
        if (dhcp.isPresent()) {
            dhcp.get().check(name, addresses);
        }
    }

    /// An interface for some ports, with Xen's MAC address.
    ///
    /// @param address such as `10.0.0.1/24`
    /// @param ports none for all ports that no other interface names
    public static RouterInterface of(String name, String address, String... ports) {
        return new RouterInterface(
                name,
                List.of(InterfaceAddress.parse(address)),
                List.of(ports),
                BACKEND_MAC,
                List.of(),
                Optional.empty(),
                false);
    }

    public RouterInterface withAddresses(List<InterfaceAddress> now) {
        return new RouterInterface(name, now, ports, mac, hosts, dhcp, advertises);
    }

    public RouterInterface withMac(MacAddress now) {
        return new RouterInterface(name, addresses, ports, now, hosts, dhcp, advertises);
    }

    public RouterInterface withHosts(List<HostRoute> now) {
        return new RouterInterface(name, addresses, ports, mac, now, dhcp, advertises);
    }

    public RouterInterface withDhcp(DhcpSettings now) {
        return new RouterInterface(
                name, addresses, ports, mac, hosts, Optional.of(now), advertises);
    }

    public RouterInterface withAdvertisements() {
        return new RouterInterface(name, addresses, ports, mac, hosts, dhcp, true);
    }
}
