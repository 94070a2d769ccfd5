package org.splitring.bridge;

/// Route mode: each port is on an interface of a router, and IPv4 and IPv6 packets go between them
/// by their destination. Nothing is switched: broadcasts, groups and other protocols end here.
///
/// A packet's way: to the router's MAC address → headers hold together → the source may live at
/// that port → route by the longest prefix → TTL → the next hop's port and MAC address, by ARP or
/// neighbour discovery → MTU → out. Only headers change: payload, partial checksums and large
/// segments stay as they are.
///
/// Sources: RFC 1812, RFC 4443, RFC 4861, RFC 8200. State belongs to the network's loop;
/// [VirtualNetwork#tick] drives what needs time. One router for one network.
public final class Router extends RoutedForwarder {
    /// @param upstream answers what the router's own names do not; [DnsUpstream#NONE] when nobody
    ///     does
    public Router(RouteSettings settings, DnsUpstream upstream) {
        super(new RouterEngine(settings, upstream, null, new RouterCounters()));
    }

    public Router(RouteSettings settings) {
        this(settings, DnsUpstream.NONE);
    }

    /// Replaces the settings between two packets. Neighbours that are still right stay known.
    ///
    /// @throws IllegalArgumentException when a port that is plugged in has no interface any more,
    ///     or when the limits are others; everything is then as before
    public void configure(RouteSettings settings) {
        engine.configure(settings);
    }

    public RouteSettings settings() {
        return engine.settings();
    }
}
