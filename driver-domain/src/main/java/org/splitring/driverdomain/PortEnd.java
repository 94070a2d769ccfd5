package org.splitring.driverdomain;

import java.net.InetSocketAddress;
import java.util.List;
import java.util.stream.Collectors;
import org.splitring.driverdomain.lab.LabPort;

/// Who is at the other end of a port, for people.
///
/// @param kind as `ports` in the lab file begins with, or `vif`
/// @param to a domain, an interface, a socket, peers, or another network; empty while it comes or
///     goes
record PortEnd(String kind, String to) {
    private static final String NETWORK = "network";

    /// Of a port that is plugged in. Any thread.
    ///
    /// @param all networks of the lab: a cable of another one may end here
    static PortEnd of(RunningNetwork network, String port, List<RunningNetwork> all) {
        VifPlug vif = network.vifs().get(port);
        if (vif != null) {
            return new PortEnd("vif", vif.domain());
        }
        for (RunningNetwork.OpenPort open : network.ports()) {
            if (LabPorts.isOf(port, open.plan())) {
                return of(open.plan());
            }
        }
        boolean isFarEnd = all.stream().anyMatch(other -> other.hasCableTo(network, port));
        return isFarEnd ? new PortEnd(NETWORK, port) : new PortEnd("vif", "");
    }

    private static PortEnd of(LabPort port) {
        return switch (port) {
            case LabPort.Tap tap -> new PortEnd("tap", tap.interfaceName());
            case LabPort.Stream stream ->
                    new PortEnd(
                            "stream",
                            (stream.listens() ? "listens at " : "") + text(stream.address()));
            case LabPort.Datagram datagram -> new PortEnd("dgram", text(datagram.peer()));
            case LabPort.Vxlan vxlan ->
                    new PortEnd(
                            "vxlan",
                            vxlan.vni()
                                    + " to "
                                    + vxlan.peers().stream()
                                            .map(PortEnd::text)
                                            .collect(Collectors.joining(" ")));
            case LabPort.Link link -> new PortEnd(NETWORK, link.network());
        };
    }

    private static String text(LabPort.Address address) {
        return switch (address) {
            case LabPort.UnixAddress unix -> unix.path().toString();
            case LabPort.LoopbackAddress loopback -> text(loopback.address());
        };
    }

    private static String text(InetSocketAddress address) {
        return address.getHostString() + ":" + address.getPort();
    }
}
