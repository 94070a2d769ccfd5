package org.splitring.bridge;

import java.net.InetAddress;

/// Says that an address lives at one port and nowhere else, as xl's `ip=` with `vif-route` does.
/// It need not be in a subnet of the port's interface.
///
/// @param address of a guest
/// @param port the port's name; it may be plugged in later
public record HostRoute(InetAddress address, String port) {
    public HostRoute {
        if (address.isMulticastAddress()
                || address.isAnyLocalAddress()
                || address.isLoopbackAddress()
                || address.isLinkLocalAddress()) {
            throw new IllegalArgumentException(
                    "host route " + address.getHostAddress() + " of " + port + " cannot be routed");
        }
    }

    /// Reads the address from its literal.
    public static HostRoute of(String address, String port) {
        return new HostRoute(InetAddress.ofLiteral(address), port);
    }

    @Override
    public String toString() {
        return address.getHostAddress() + " at " + port;
    }
}
