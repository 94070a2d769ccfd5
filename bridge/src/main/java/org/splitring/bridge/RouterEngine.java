package org.splitring.bridge;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// What route mode and NAT mode share: ports and their sides, the routing table, the paths of the
/// two families, and the router's own services. The network's loop.
final class RouterEngine {
    final RouterCounters counters;
    final OutgoingPacket out = new OutgoingPacket();
    final IcmpErrors errors;
    final NextHops hops;
    final Announcements announcements;
    final RouterAdvertisements advertisements = new RouterAdvertisements(this);
    final @Nullable Translation nat;

    private final @Nullable RouterPort[] byIndex = new RouterPort[VirtualNetwork.MAX_PORTS];
    private final Ipv4Path v4;
    private final Ipv6Path v6;
    private final Neighbourhood neighbourhood;
    private RouteSettings settings;
    private final DnsUpstream upstream;
    private @Nullable DnsRelay dns;
    private List<RouterSide> sides;
    private RoutingTable table;
    private long nanos;
    private int second;

    /// @param nat translates between the guests and the uplink; null in route mode
    RouterEngine(
            RouteSettings settings,
            DnsUpstream upstream,
            @Nullable Translation nat,
            RouterCounters counters) {
        this.counters = counters;
        errors = new IcmpErrors(counters, out);
        this.settings = settings;
        this.nat = nat;
        sides = sides(settings);
        table = new RoutingTable(settings, sides);
        hops = new NextHops(this, settings.limits(), out);
        neighbourhood = new Neighbourhood(this);
        announcements = new Announcements(this, neighbourhood);
        v4 = new Ipv4Path(this);
        v6 = new Ipv6Path(this, neighbourhood);
        this.upstream = upstream;
        dns = settings.dns().map(d -> new DnsRelay(this, d, upstream)).orElse(null);
        serveDhcp(List.of());
    }

    /// Gives each side its DHCP server: the one that it had, with its leases, when what it hands
    /// out is the same.
    private void serveDhcp(List<RouterSide> before) {
        for (RouterSide side : sides) {
            if (side.config.dhcp().isEmpty()) {
                continue;
            }
            for (RouterSide old : before) {
                if (old.config.dhcp().equals(side.config.dhcp())
                        && old.config.addresses().equals(side.config.addresses())) {
                    side.dhcp = old.dhcp;
                }
            }
            DhcpServer had = side.dhcp;
            if (had == null) {
                side.dhcp = new DhcpServer(this, side.config, settings.dns().isPresent());
            } else {
                had.exclude(side.config.hosts());
            }
        }
    }

    /// Whether DNS is answered to that address: one on a link of the router, inside.
    boolean answersDns(RouterPort from, long high, long low) {
        Route route = table.find(high, low);
        return dns != null
                && (nat == null || !nat.isUplink(from.side))
                && route != null
                && route.kind == Route.Kind.ON_LINK;
    }

    @Nullable DnsRelay dns() {
        return dns;
    }

    private static List<RouterSide> sides(RouteSettings settings) {
        return settings.interfaces().stream().map(RouterSide::new).toList();
    }

    void forward(PortLink link, Frame frame) {
        RouterPort from = byIndex[link.index];
        if (from == null) {
            return; // of another mode, an instant ago
        }
        time(link.network().batchNanos(), link.network().batchSeconds());
        receive(from, frame);
    }

    private void time(long nowNanos, int nowSecond) {
        nanos = nowNanos;
        if (second != nowSecond) {
            second = nowSecond;
            if (nat != null) {
                nat.second(nowSecond);
            }
        }
    }

    /// Takes a frame that came in at a port, or one that waited for a next hop.
    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        long to = frame.mac(0);
        long source = frame.mac(6);
        if ((source & MacAddress.GROUP_BIT) != 0 || source == 0) {
            drop(from, RouterCounter.DROPPED_OTHER_MAC);
        } else if ((to & MacAddress.GROUP_BIT) == 0 && to != from.side.mac) {
            drop(from, RouterCounter.DROPPED_OTHER_MAC);
            announcements.correct(from, frame);
        } else if (layers.tags != 0) {
            drop(from, RouterCounter.DROPPED_PROTOCOL);
        } else {
            switch (layers.etherType) {
                case FrameLayers.ARP -> neighbourhood.arp(from, frame);
                case FrameLayers.IPV4 -> v4.receive(from, frame);
                case FrameLayers.IPV6 -> v6.receive(from, frame);
                default -> drop(from, RouterCounter.DROPPED_PROTOCOL);
            }
        }
    }

    /// Counts a packet that ends here.
    void drop(RouterPort from, RouterCounter why) {
        counters.add(why);
        from.link.drop(PortCounter.IN_DROPPED_ROUTER);
    }

    /// Tells the sender of an IPv4 packet that it is not allowed.
    void prohibited(RouterPort from, Frame frame) {
        v4.error(from, frame, Icmp.UNREACHABLE, Icmp.ADMIN_PROHIBITED, 0);
    }

    /// Gives a packet up whose next hop does not answer; it is as it was received.
    void unreachable(RouterPort from, Frame frame) {
        if (nat != null) {
            nat.begin();
        }
        drop(from, RouterCounter.DROPPED_UNREACHABLE);
        if (frame.layers().ipVersion == 4) {
            v4.error(from, frame, Icmp.UNREACHABLE, Icmp.HOST_UNREACHABLE, 0);
        } else {
            v6.error(from, frame, Icmp.V6_UNREACHABLE, Icmp.V6_ADDRESS_UNREACHABLE, 0);
        }
    }

    /// Whether a packet from that address may come from that port (N-47). Where several ports
    /// share a subnet, an address that is not known yet is asked for, and the packet waits.
    ///
    /// @return whether it goes on now; otherwise it was counted, or waits
    boolean admits(RouterPort from, Frame frame, long high, long low) {
        Route route = table.find(high, low);
        if (route == null || !mayLive(from, route, high, low)) {
            drop(from, RouterCounter.DROPPED_SPOOFED);
            return false;
        }
        boolean via = route.kind == Route.Kind.VIA;
        long hopHigh = via ? route.viaHigh : high;
        long hopLow = via ? route.viaLow : low;
        NeighbourTable neighbours = hops.neighbours();
        int entry = neighbours.find(hopHigh, hopLow);
        if (entry == NeighbourTable.NONE || !neighbours.isAlive(entry, second)) {
            if (route.portName != null
                    || route.side.ports.size() == 1
                    || leasedAt(from.side, high, low) == from.index) {
                return true; // nobody else can have it
            }
            hops.await(from, frame, route, hopHigh, hopLow);
            return false;
        }
        if (neighbours.macOf(entry) == frame.mac(6)) {
            neighbours.heard(entry, second);
        }
        return true;
    }

    private int leasedAt(RouterSide side, long high, long low) {
        DhcpServer dhcp = side.dhcp;
        return dhcp == null ? -1 : dhcp.portOf(high, low, second);
    }

    /// Whether what a route is for may live at a port: it leads there, and nobody is known to have
    /// the address, or the router in front of it, elsewhere.
    boolean mayLive(RouterPort at, Route route, long high, long low) {
        if (route.kind == Route.Kind.LOCAL
                || route.kind == Route.Kind.BROADCAST
                || !route.allows(at)) {
            return false;
        }
        int leased = leasedAt(at.side, high, low);
        if (leased >= 0 && leased != at.index) {
            return false;
        }
        boolean via = route.kind == Route.Kind.VIA;
        int port = hops.portOf(via ? route.viaHigh : high, via ? route.viaLow : low);
        return port < 0 || port == at.index;
    }

    /// The router's IPv4 address that a host beside `target` knows best: one in its subnet, else
    /// any of that side, else any at all; 0 when there is none.
    int v4Beside(RouterSide side, int target) {
        int own = side.v4Beside(target);
        return own == 0 ? v4Of(side) : own;
    }

    int v4Of(RouterSide side) {
        for (int i = 0; side.v4 == 0 && i < sides.size(); i++) {
            if (sides.get(i).v4 != 0) {
                return sides.get(i).v4;
            }
        }
        return side.v4;
    }

    @Nullable RouterPort port(int index) {
        return byIndex[index];
    }

    RoutingTable table() {
        return table;
    }

    RouteSettings settings() {
        return settings;
    }

    long nanos() {
        return nanos;
    }

    int second() {
        return second;
    }

    // ---- settings

    /// Finds the interface of a port.
    ///
    /// @throws IllegalArgumentException when it has none
    static RouterInterface interfaceOf(RouteSettings settings, String port) {
        Optional<RouterInterface> found = settings.interfaceOf(port);
        return found.orElseThrow(
                () ->
                        new IllegalArgumentException(
                                "port " + port + " is at none of the router's interfaces"));
    }

    void check(PortSettings wanted) {
        interfaceOf(settings, wanted.name());
    }

    void configured(PortLink link) {
        detached(link);
        RouterSide side = sideOf(link.settings().name());
        RouterPort port =
                new RouterPort(
                        link, side, settings.limits().errorsPerSecond(), link.network().now());
        byIndex[link.index] = port;
        side.ports.add(port);
    }

    private RouterSide sideOf(String port) {
        RouterInterface wanted = interfaceOf(settings, port);
        return sides.get(settings.interfaces().indexOf(wanted));
    }

    void detached(PortLink link) {
        RouterPort gone = byIndex[link.index];
        if (gone != null) {
            byIndex[link.index] = null;
            gone.side.ports.remove(gone);
            hops.forget(link.index);
            DhcpServer dhcp = gone.side.dhcp;
            if (dhcp != null) {
                dhcp.leases().forget(link.index);
            }
            if (nat != null) {
                nat.forget(link.index);
            }
        }
    }

    /// Replaces the settings; what is known and still right stays.
    ///
    /// @throws IllegalArgumentException when a port that is plugged in has no interface any more,
    ///     or the limits changed; nothing is changed then
    void configure(RouteSettings now) {
        if (!now.limits().equals(settings.limits())) {
            throw new IllegalArgumentException(
                    "the limits of a router are fixed: " + settings.limits());
        }
        for (RouterPort port : byIndex) {
            if (port != null) {
                interfaceOf(now, port.name);
            }
        }
        settings = now;
        List<RouterSide> before = sides;
        sides = sides(now);
        table = new RoutingTable(now, sides);
        serveDhcp(before);
        DnsRelay had = dns;
        if (had != null && now.dns().isPresent()) {
            had.configure(now.dns().get());
        } else {
            dns = now.dns().map(d -> new DnsRelay(this, d, upstream)).orElse(null);
        }
        for (RouterPort port : byIndex) {
            if (port != null) {
                RouterSide side = sideOf(port.name);
                if (!side.config.advertises()) {
                    advertisements.cease(port); // if it did before
                }
                port.side = side;
                port.side.ports.add(port);
            }
        }
        hops.recheck();
        advertisements.soon();
    }

    /// Says where the router's own addresses are, to hosts that know them elsewhere.
    void announce(VirtualNetwork network) {
        time(network.batchNanos(), network.batchSeconds());
        for (RouterPort port : byIndex) {
            if (port != null) {
                announcements.announce(port);
            }
        }
    }

    /// What a switch that takes the place is to remember.
    FormerRouter asFormer() {
        return new FormerRouter(sides, table);
    }

    /// Says that the router goes.
    void leave() {
        for (RouterPort port : byIndex) {
            if (port != null) {
                advertisements.cease(port);
            }
        }
    }

    void tick(VirtualNetwork network) {
        time(network.batchNanos(), network.batchSeconds());
        hops.tick();
        if (advertisements.isDue()) {
            for (RouterPort port : byIndex) {
                if (port != null) {
                    advertisements.advertise(port);
                }
            }
        }
    }
}
