package org.splitring.bridge;

import java.net.InetAddress;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What the DHCP server of an interface hands out (RFC 2131, RFC 2132).
///
/// @param first of the addresses that are handed out, IPv4, in a subnet of the interface
/// @param last of them
/// @param fixed addresses that belong to one MAC address, in the same subnet, in the range or not
/// @param leaseSeconds how long an address is the guest's without asking again, at least 60
/// @param dnsServers the resolvers that guests are told; the router itself when empty and when it
///     answers DNS
/// @param domain the domain name that guests are told
/// @param mtu that guests are told, 576 to 65535
/// @param leasesPerPort most addresses of the range that guests of one port can hold
public record DhcpSettings(
        InetAddress first,
        InetAddress last,
        Map<MacAddress, InetAddress> fixed,
        int leaseSeconds,
        List<InetAddress> dnsServers,
        Optional<String> domain,
        Optional<Integer> mtu,
        int leasesPerPort) {
    /// Most addresses of one range.
    public static final int MAX_ADDRESSES = 1 << 16;

    public DhcpSettings {
        fixed = Map.copyOf(fixed);
        dnsServers = List.copyOf(dnsServers);
        String range = "DHCP range " + first.getHostAddress() + " to " + last.getHostAddress();
        if (!IpWords.isV4(first) || !IpWords.isV4(last)) {
            throw new IllegalArgumentException(range + ": not IPv4");
        }
        long count = IpWords.low(last) - IpWords.low(first) + 1;
        if (count < 1 || count > MAX_ADDRESSES) {
            throw new IllegalArgumentException(
                    range + ": " + count + " addresses, not 1 to " + MAX_ADDRESSES);
        }
        if (leaseSeconds < 60) {
            throw new IllegalArgumentException("leaseSeconds " + leaseSeconds + " is below 60");
        }
        if (leasesPerPort < 1) {
            throw new IllegalArgumentException("leasesPerPort " + leasesPerPort + " is below 1");
        }
        if (mtu.isPresent() && (mtu.get() < 576 || mtu.get() > PortCapabilities.MAX_MTU)) {
            throw new IllegalArgumentException("MTU " + mtu.get() + " is not 576 to 65535");
        }
        if (domain.isPresent() && (domain.get().isEmpty() || domain.get().length() > 63)) {
            throw new IllegalArgumentException(
                    "domain '" + domain.get() + "' is empty or too long");
        }
        if (dnsServers.size() > 4 || !dnsServers.stream().allMatch(IpWords::isV4)) {
            throw new IllegalArgumentException(
                    "DNS servers " + dnsServers + ": more than 4, or not IPv4");
        }
        Set<InetAddress> seen = new HashSet<>();
        for (InetAddress each : fixed.values()) {
            if (!seen.add(each)) {
                throw new IllegalArgumentException(
                        "DHCP address " + each.getHostAddress() + " is fixed twice");
            }
        }
    }

    /// A range with leases of an hour, eight for each port.
    public static DhcpSettings of(String first, String last) {
        return new DhcpSettings(
                InetAddress.ofLiteral(first),
                InetAddress.ofLiteral(last),
                Map.of(),
                3600,
                List.of(),
                Optional.empty(),
                Optional.empty(),
                8);
    }

    public DhcpSettings withFixed(Map<MacAddress, InetAddress> now) {
        return new DhcpSettings(
                first, last, now, leaseSeconds, dnsServers, domain, mtu, leasesPerPort);
    }

    public DhcpSettings withLeaseSeconds(int now) {
        return new DhcpSettings(first, last, fixed, now, dnsServers, domain, mtu, leasesPerPort);
    }

    public DhcpSettings withDnsServers(List<InetAddress> now) {
        return new DhcpSettings(first, last, fixed, leaseSeconds, now, domain, mtu, leasesPerPort);
    }

    public DhcpSettings withDomain(String now) {
        return new DhcpSettings(
                first, last, fixed, leaseSeconds, dnsServers, Optional.of(now), mtu, leasesPerPort);
    }

    public DhcpSettings withMtu(int now) {
        return new DhcpSettings(
                first,
                last,
                fixed,
                leaseSeconds,
                dnsServers,
                domain,
                Optional.of(now),
                leasesPerPort);
    }

    /// The router's address in the subnet of the range.
    InterfaceAddress gateway(List<InterfaceAddress> addresses) {
        return addresses.stream()
                .filter(a -> IpWords.contains(a.subnet(), first))
                .findFirst()
                .orElseThrow();
    }

    void check(String where, List<InterfaceAddress> addresses) {
        Optional<IpPrefix> subnet =
                addresses.stream()
                        .map(InterfaceAddress::subnet)
                        .filter(s -> IpWords.contains(s, first) && IpWords.contains(s, last))
                        .findFirst();
        if (subnet.isEmpty()) {
            throw new IllegalArgumentException(
                    "interface "
                            + where
                            + ": DHCP range "
                            + first.getHostAddress()
                            + " to "
                            + last.getHostAddress()
                            + " is not in one of its subnets");
        }
        for (InetAddress each : fixed.values()) {
            boolean own = addresses.stream().anyMatch(a -> a.address().equals(each));
            if (own || !IpWords.contains(subnet.get(), each)) {
                throw new IllegalArgumentException(
                        "interface "
                                + where
                                + ": DHCP address "
                                + each.getHostAddress()
                                + " is the router's own or not in "
                                + subnet.get());
            }
        }
    }
}
