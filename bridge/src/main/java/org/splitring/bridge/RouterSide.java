package org.splitring.bridge;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// An interface of a router, made ready for the data path. The network's loop.
final class RouterSide {
    final RouterInterface config;
    final String name;
    final long mac;

    /// The first IPv4 address, 0 when there is none.
    final int v4;

    /// The first IPv6 address; the link-local one when there is no other.
    final long v6High;

    final long v6Low;

    /// fe80::/64 with the identifier of the MAC address (RFC 4291).
    final long linkLocalLow;

    final int[] v4Addresses;
    final int[] v4Masks;

    /// Serves this side; null when nothing does.
    @Nullable DhcpServer dhcp;

    /// Ports on this side, plugged in now.
    final List<RouterPort> ports = new ArrayList<>();

    RouterSide(RouterInterface config) {
        this.config = config;
        name = config.name();
        mac = config.mac().value();
        linkLocalLow = PinCheck.interfaceId(mac);
        long high = 0;
        long low = 0;
        for (InterfaceAddress each : config.addresses()) {
            InetAddress address = each.address();
            if (!IpWords.isV4(address) && (high | low) == 0) {
                high = IpWords.high(address);
                low = IpWords.low(address);
            }
        }
        v4Addresses =
                config.addresses().stream()
                        .filter(a -> IpWords.isV4(a.address()))
                        .mapToInt(a -> IpWords.v4(a.address()))
                        .toArray();
        v4Masks =
                config.addresses().stream()
                        .filter(a -> IpWords.isV4(a.address()))
                        .mapToInt(a -> -1 << (32 - a.bits()))
                        .toArray();
        v4 = v4Addresses.length == 0 ? 0 : v4Addresses[0];
        v6High = (high | low) == 0 ? Icmp.LINK_LOCAL : high;
        v6Low = (high | low) == 0 ? linkLocalLow : low;
    }

    boolean isLinkLocal(long high, long low) {
        return high == Icmp.LINK_LOCAL && low == linkLocalLow;
    }
}
