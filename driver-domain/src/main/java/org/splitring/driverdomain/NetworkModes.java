package org.splitring.driverdomain;

import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.splitring.bridge.DhcpSettings;
import org.splitring.bridge.DnsSettings;
import org.splitring.bridge.DnsUpstream;
import org.splitring.bridge.Forwarder;
import org.splitring.bridge.HostRoute;
import org.splitring.bridge.InterfaceAddress;
import org.splitring.bridge.IpPrefix;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.Nat;
import org.splitring.bridge.NatLimits;
import org.splitring.bridge.NatSettings;
import org.splitring.bridge.RouteSettings;
import org.splitring.bridge.Router;
import org.splitring.bridge.RouterInterface;
import org.splitring.bridge.RouterLimits;
import org.splitring.bridge.StaticRoute;
import org.splitring.bridge.port.UdpDnsUpstream;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabRouting;
import org.splitring.driverdomain.lab.VifMac;
import org.splitring.hypervisor.attached.NettyDeviceLoop;

/// Makes of a network's plan, and of the vifs that are in it now, what a forwarder is told.
final class NetworkModes {
    private static final String GUESTS = "guests";
    private static final long RESOLVER_MILLIS = 2000;

    private NetworkModes() {}

    /// A forwarder, and what is to be closed with it.
    record Mode(Forwarder forwarder, AutoCloseable resources) {}

    /// What a vif says of itself.
    ///
    /// @param port its name
    /// @param domain of the guest
    record Vif(String port, String domain, Optional<MacAddress> mac, List<InetAddress> ips) {}

    /// Makes the forwarder of a plan. Not called on a loop.
    ///
    /// @throws IllegalArgumentException when the plan contradicts itself
    /// @throws IOException when there is no socket for questions to resolvers
    static Mode make(LabNetwork plan, List<Vif> vifs, NettyDeviceLoop loop) throws IOException {
        if (plan.mode() == LabNetwork.Mode.BRIDGE) {
            return new Mode(new LearningSwitch(plan.bridge()), () -> {});
        }
        LabRouting routing = plan.routing().orElseThrow();
        DnsUpstream upstream = DnsUpstream.NONE;
        AutoCloseable resources = () -> {};
        if (!routing.resolvers().isEmpty()) {
            UdpDnsUpstream opened =
                    UdpDnsUpstream.open(loop.eventLoop(), routing.resolvers(), RESOLVER_MILLIS);
            upstream = opened;
            resources = opened;
        }
        return new Mode(
                plan.mode() == LabNetwork.Mode.ROUTE
                        ? new Router(routeSettings(plan, vifs), upstream)
                        : new Nat(natSettings(plan, vifs), upstream),
                resources);
    }

    /// Says whether a plan makes sense with the vifs that there are.
    ///
    /// @throws IllegalArgumentException with what does not
    static void check(LabNetwork plan, List<Vif> vifs) {
        switch (plan.mode()) {
            case BRIDGE -> {
                // What there is has been checked when it was read.
            }
            case ROUTE -> routeSettings(plan, vifs);
            case NAT -> natSettings(plan, vifs);
        }
    }

    /// Tells a forwarder what its plan and the vifs have become. On the network's loop.
    ///
    /// @throws IllegalArgumentException when that contradicts itself; nothing has changed then
    static void configure(Forwarder forwarder, LabNetwork plan, List<Vif> vifs) {
        if (forwarder instanceof Router router) {
            router.configure(routeSettings(plan, vifs));
        } else if (forwarder instanceof Nat nat) {
            nat.configure(natSettings(plan, vifs));
        }
    }

    private static RouteSettings routeSettings(LabNetwork plan, List<Vif> vifs) {
        LabRouting routing = plan.routing().orElseThrow();
        List<RouterInterface> interfaces = new ArrayList<>(List.of(guests(plan, vifs)));
        List<StaticRoute> routes = new ArrayList<>(routing.routes());
        for (LabPort port : plan.ports()) {
            if (!port.plug().addresses().isEmpty()) {
                interfaces.add(side(plan, port.plug()));
                port.plug().via().ifPresent(via -> routes.add(defaultRoute(via)));
            }
        }
        return new RouteSettings(
                interfaces, routes, Optional.of(names(plan, vifs)), RouterLimits.DEFAULT);
    }

    private static NatSettings natSettings(LabNetwork plan, List<Vif> vifs) {
        LabRouting routing = plan.routing().orElseThrow();
        List<RouterInterface> inside = new ArrayList<>(List.of(guests(plan, vifs)));
        RouterInterface outside = null;
        Optional<InetAddress> gateway = Optional.empty();
        for (LabPort port : plan.ports()) {
            LabPort.Plug plug = port.plug();
            if (routing.uplink().equals(Optional.of(plug.name()))) {
                outside = side(plan, plug);
                gateway = plug.via();
            } else if (!plug.addresses().isEmpty()) {
                inside.add(side(plan, plug));
            }
        }
        if (outside == null) {
            throw new IllegalArgumentException("network " + plan.name() + " has no uplink");
        }
        return new NatSettings(
                inside,
                outside,
                gateway,
                routing.forwards(),
                routing.routes(),
                Optional.of(names(plan, vifs)),
                RouterLimits.DEFAULT,
                NatLimits.DEFAULT);
    }

    private static StaticRoute defaultRoute(InetAddress via) {
        String all = via.getAddress().length == 4 ? "0.0.0.0/0" : "::/0";
        return new StaticRoute(IpPrefix.parse(all), via);
    }

    /// A port with addresses of the router's own, and a MAC address of its own: others of its kind
    /// may be on the same wire.
    private static RouterInterface side(LabNetwork plan, LabPort.Plug plug) {
        return new RouterInterface(
                plug.name(),
                plug.addresses(),
                List.of(plug.name()),
                VifMac.made(
                        plan.routing().orElseThrow().lab(), plan.name() + " " + plug.name(), 0, 0),
                List.of(),
                Optional.empty(),
                false);
    }

    /// The side that has the guests, and all ports that have no addresses of their own.
    private static RouterInterface guests(LabNetwork plan, List<Vif> vifs) {
        LabRouting routing = plan.routing().orElseThrow();
        List<HostRoute> hosts = new ArrayList<>();
        for (Vif vif : vifs) {
            vif.ips().forEach(ip -> hosts.add(new HostRoute(ip, vif.port())));
        }
        return new RouterInterface(
                GUESTS,
                routing.gateways().stream()
                        .map(own -> new InterfaceAddress(own.address(), own.bits()))
                        .toList(),
                List.of(),
                RouterInterface.BACKEND_MAC,
                hosts,
                routing.dhcp().map(range -> dhcp(plan, routing, range, vifs)),
                routing.advertise());
    }

    private static DhcpSettings dhcp(
            LabNetwork plan, LabRouting routing, LabRouting.Range range, List<Vif> vifs) {
        DhcpSettings settings =
                DhcpSettings.of(range.first().getHostAddress(), range.last().getHostAddress())
                        .withFixed(fixed(routing, range, vifs))
                        .withMtu(plan.mtu());
        return routing.domain().map(settings::withDomain).orElse(settings);
    }

    /// Guests with an `ip=` in the subnet of the range have that from DHCP too.
    private static Map<MacAddress, InetAddress> fixed(
            LabRouting routing, LabRouting.Range range, List<Vif> vifs) {
        Map<MacAddress, InetAddress> fixed = new HashMap<>();
        for (Vif vif : vifs) {
            for (InetAddress ip : vif.ips()) {
                boolean near =
                        routing.gateways().stream()
                                .anyMatch(own -> own.contains(ip) && own.contains(range.first()));
                if (near && vif.mac().isPresent()) {
                    fixed.putIfAbsent(vif.mac().get(), ip);
                }
            }
        }
        return fixed;
    }

    /// Each guest by the name of its domain, with and without the lab's.
    private static DnsSettings names(LabNetwork plan, List<Vif> vifs) {
        Map<String, List<InetAddress>> names = new TreeMap<>();
        Optional<String> suffix = plan.routing().orElseThrow().domain();
        for (Vif vif : vifs) {
            String name = vif.domain().toLowerCase(Locale.ROOT);
            if (vif.ips().isEmpty() || !name.matches("[a-z0-9_-]{1,63}")) {
                continue; // such a domain has no name in DNS
            }
            add(names, name, vif.ips());
            suffix.ifPresent(
                    lab -> add(names, name + "." + lab.toLowerCase(Locale.ROOT), vif.ips()));
        }
        return DnsSettings.of(names);
    }

    private static void add(
            Map<String, List<InetAddress>> names, String name, List<InetAddress> ips) {
        List<InetAddress> all = new ArrayList<>(names.getOrDefault(name, List.of()));
        all.addAll(ips);
        names.put(name, all.subList(0, Math.min(all.size(), 16)));
    }
}
