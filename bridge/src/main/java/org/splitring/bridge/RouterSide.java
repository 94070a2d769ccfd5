package org.splitring.bridge;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
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

    /// The IPv6 addresses that are not link-local, two words each.
    final long[] v6Addresses;

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
        v6Addresses =
                config.addresses().stream()
                        .map(InterfaceAddress::address)
                        .filter(address -> !IpWords.isV4(address))
                        .flatMapToLong(a -> LongStream.of(IpWords.high(a), IpWords.low(a)))
                        .toArray();
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
        v6High = v6Addresses.length == 0 ? Icmp.LINK_LOCAL : v6Addresses[0];
        v6Low = v6Addresses.length == 0 ? linkLocalLow : v6Addresses[1];
    }

    /// The IPv4 address here that a host beside `target` knows best; 0 when there is none.
    int v4Beside(int target) {
        for (int i = 0; i < v4Addresses.length; i++) {
            if (((v4Addresses[i] ^ target) & v4Masks[i]) == 0) {
                return v4Addresses[i];
            }
        }
        return v4;
    }

    boolean isLinkLocal(long high, long low) {
        return high == Icmp.LINK_LOCAL && low == linkLocalLow;
    }
}
