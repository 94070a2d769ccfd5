package org.splitring.bridge;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.List;
import java.util.Set;

/// Which source addresses a port may use: what keeps a guest from speaking for another one.
///
/// With MAC addresses pinned, every frame must come from one of them, and so must the sender
/// fields of
/// ARP and the link-layer options of neighbour discovery. With IP addresses pinned as well, the
/// port may
/// send nothing but IPv4, IPv6 and ARP, each from one of them; exceptions are what a host needs
/// to get an
/// address: ARP probes, DHCP from 0.0.0.0, IPv6 from `::` and from the link-local addresses of
/// its MACs (RFC
/// 4291). Router advertisements, redirects and multicast queries are then dropped: a
/// pinned port is a host.
///
/// @param macs empty when any may be used
/// @param addresses empty when any may be used
public record AddressPins(List<MacAddress> macs, List<InetAddress> addresses) {
    /// Any address.
    public static final AddressPins NONE = new AddressPins(List.of(), List.of());

    /// Most addresses of each kind: they are compared one after the other.
    public static final int MAX_ADDRESSES = 32;

    public AddressPins {
        macs = List.copyOf(macs);
        addresses = List.copyOf(addresses);
        if (macs.size() > MAX_ADDRESSES || addresses.size() > MAX_ADDRESSES) {
            throw new IllegalArgumentException(
                    "more than " + MAX_ADDRESSES + " addresses pinned to one port");
        }
        for (MacAddress mac : macs) {
            if (mac.isGroup()) {
                throw new IllegalArgumentException(mac + " is a group, no port's own address");
            }
        }
        if (!addresses.isEmpty() && macs.isEmpty()) {
            throw new IllegalArgumentException(
                    "addresses " + addresses + " are pinned without a MAC address");
        }
        if (Set.copyOf(addresses).size() < addresses.size()) {
            throw new IllegalArgumentException("an address is given twice: " + addresses);
        }
        for (InetAddress address : addresses) {
            if (!(address instanceof Inet4Address || address instanceof Inet6Address)
                    || address.isMulticastAddress()
                    || address.isAnyLocalAddress()) {
                throw new IllegalArgumentException(
                        address.getHostAddress() + " is no host's own address");
            }
        }
    }

    /// Pins one MAC address, as every vif has it by default.
    public static AddressPins of(MacAddress mac) {
        return new AddressPins(List.of(mac), List.of());
    }

    /// Pins one MAC address and xl's `ip=` addresses.
    ///
    /// @param addresses literals; no name is ever looked up
    /// @throws IllegalArgumentException with the text that is no address
    public static AddressPins of(MacAddress mac, List<String> addresses) {
        return new AddressPins(
                List.of(mac), addresses.stream().map(InetAddress::ofLiteral).toList());
    }
}
