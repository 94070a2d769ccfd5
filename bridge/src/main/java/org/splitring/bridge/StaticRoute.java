package org.splitring.bridge;

import java.net.InetAddress;

/// Where packets for a prefix go that is not on a link of the router: to another router.
///
/// @param prefix `0.0.0.0/0` and `::/0` are the default routes
/// @param via the other router's address, of the same family and on a link of this router
public record StaticRoute(IpPrefix prefix, InetAddress via) {
    public StaticRoute {
        if (IpWords.isV4(prefix.address()) != IpWords.isV4(via)) {
            throw new IllegalArgumentException(
                    "route " + prefix + " via " + via.getHostAddress() + ": two families");
        }
    }

    /// Reads both from their literals.
    public static StaticRoute of(String prefix, String via) {
        return new StaticRoute(IpPrefix.parse(prefix), InetAddress.ofLiteral(via));
    }

    @Override
    public String toString() {
        return prefix + " via " + via.getHostAddress();
    }
}
