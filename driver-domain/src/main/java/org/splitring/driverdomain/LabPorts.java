package org.splitring.driverdomain;

import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.splitring.bridge.FrameRule;
import org.splitring.bridge.NetworkLink;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.bridge.port.StreamPorts;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabPrefix;
import org.splitring.driverdomain.lab.VifMac;
import org.splitring.driverdomain.net.DatagramPort;
import org.splitring.driverdomain.net.TapPort;
import org.splitring.driverdomain.net.VxlanPort;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.hypervisor.linux.TapDevice;

/// Ports of a lab's networks to others than guests.
final class LabPorts {
    private LabPorts() {}

    /// Opens a port that leads out of the lab. Not called on a loop.
    ///
    /// @param mtuNow of the network; [#setMtu] follows when it is another one
    /// @param loop the network's
    /// @throws IOException when it cannot be opened: the message names the value
    static AutoCloseable open(
            VirtualNetwork network,
            PortSettings settings,
            int mtuNow,
            NettyDeviceLoop loop,
            LabPort port)
            throws IOException {
        int mtu = PortCapabilities.MAX_MTU; // the network's limits it
        return switch (port) {
            case LabPort.Tap tap -> TapPort.plugIn(network, settings, mtu, loop, tap(tap, mtuNow));
            case LabPort.Stream stream -> {
                SocketAddress address = address(stream.address());
                yield stream.listens()
                        ? StreamPorts.listen(network, settings, mtu, loop.eventLoop(), address)
                        : StreamPorts.connect(network, settings, mtu, loop.eventLoop(), address);
            }
            case LabPort.Datagram datagram ->
                    DatagramPort.open(
                            network,
                            settings,
                            mtu,
                            loop,
                            address(datagram.local()),
                            address(datagram.peer()));
            case LabPort.Link link ->
                    throw new IllegalArgumentException(link + " needs both networks");
            case LabPort.Vxlan vxlan ->
                    VxlanPort.open(
                            network,
                            settings,
                            mtu,
                            loop,
                            vxlan.local(),
                            vxlan.vni(),
                            vxlan.peers());
        };
    }

    /// The settings of a port: those of its name, and its own `vlan=`.
    static PortSettings settings(LabNetwork plan, LabPort port) {
        PortSettings settings = plan.settingsOf(port.plug().name());
        return port.plug().vlans().map(settings::withVlans).orElse(settings);
    }

    private static TapDevice tap(LabPort.Tap port, int mtu) throws IOException {
        try {
            TapDevice tap = TapDevice.open(port.interfaceName());
            boolean set = false;
            try {
                NetworkNamespace.ipHere(commands(port, mtu));
                set = true;
                return tap;
            } finally {
                if (!set) {
                    tap.close();
                }
            }
        } catch (LinuxException e) {
            if (e.errno() == Errno.EPERM || e.errno() == Errno.EACCES) {
                throw new IOException(
                        e.getMessage()
                                + ": a TAP of this machine takes CAP_NET_ADMIN; without it a"
                                + " stream port reaches the outside, through passt",
                        e);
            }
            throw e;
        }
    }

    /// Settings of a port that lets nothing pass, until it has those that it shall have.
    static PortSettings shut(String name) {
        return PortSettings.of(name)
                .withRules(List.of(FrameRule.parse("tx drop"), FrameRule.parse("rx drop")));
    }

    /// Has an open port know the network's MTU, as far as it is more than a limit of what the
    /// network sends there.
    ///
    /// @throws IOException when the interface cannot have it
    static void setMtu(LabPort port, AutoCloseable open, int mtu) throws IOException {
        if (port instanceof LabPort.Tap tap) {
            NetworkNamespace.ipHere("link set dev " + tap.interfaceName() + " mtu " + mtu + "\n");
        } else if (open instanceof NetworkLink link) {
            link.mtu(mtu);
        }
    }

    /// What only one port at a time can have: its name in its network, and what it is bound to.
    static Set<String> claims(LabNetwork plan, LabPort port) {
        Set<String> claims = new HashSet<>(Set.of(plan.name() + "/" + name(port)));
        switch (port) {
            case LabPort.Tap tap -> claims.add("tap " + tap.interfaceName());
            case LabPort.Stream stream ->
                    claims.add((stream.listens() ? "stream " : "peer ") + stream.address());
            case LabPort.Datagram datagram -> claims.add(bound(datagram.local()));
            case LabPort.Vxlan vxlan -> claims.add("udp " + vxlan.local().getPort());
            case LabPort.Link link -> claims.add(link.network() + "/" + plan.name());
        }
        return claims;
    }

    private static String bound(LabPort.Address local) {
        return switch (local) {
            case LabPort.UnixAddress unix -> "datagrams " + unix.path();
            case LabPort.LoopbackAddress loopback -> "udp " + loopback.address().getPort();
        };
    }

    /// What tells this machine from others: its interfaces have the same MAC addresses each time
    /// they are made, or guests would know the last ones for half a minute.
    private static String machine() throws IOException {
        Path id = Path.of("/etc/machine-id");
        return Files.isReadable(id) ? Files.readString(id) : "";
    }

    private static String commands(LabPort.Tap port, int mtu) throws IOException {
        StringBuilder commands = new StringBuilder();
        String dev = " dev " + port.interfaceName();
        commands.append("link set").append(dev).append(" address ");
        commands.append(VifMac.made(machine(), port.interfaceName(), 0, 0));
        commands.append(" mtu ").append(mtu).append(" up\n");
        for (LabPrefix address : port.addresses()) {
            commands.append("addr replace ").append(address).append(dev);
            commands.append(address.isIpv4() ? "\n" : " nodad\n");
        }
        return commands.toString();
    }

    private static SocketAddress address(LabPort.Address address) {
        return switch (address) {
            case LabPort.UnixAddress unix -> new DomainSocketAddress(unix.path().toFile());
            case LabPort.LoopbackAddress loopback -> loopback.address();
        };
    }

    static String name(LabPort port) {
        return port.plug().name();
    }

    /// Whether a port stays as it is, or needs other settings at most.
    static boolean samePlug(LabPort one, LabPort other) {
        return switch (one) {
            case LabPort.Tap tap ->
                    other instanceof LabPort.Tap(var plug, var interfaceName, var addresses)
                            && plug.name().equals(name(tap))
                            && interfaceName.equals(tap.interfaceName())
                            && addresses.equals(tap.addresses());
            case LabPort.Stream stream ->
                    other instanceof LabPort.Stream(var plug, var address, var listens)
                            && plug.name().equals(name(stream))
                            && address.equals(stream.address())
                            && listens == stream.listens();
            case LabPort.Link link ->
                    other instanceof LabPort.Link(var plug, var network)
                            && plug.name().equals(name(link))
                            && network.equals(link.network());
            case LabPort.Datagram datagram ->
                    other instanceof LabPort.Datagram(var plug, var local, var peer)
                            && plug.name().equals(name(datagram))
                            && local.equals(datagram.local())
                            && peer.equals(datagram.peer());
            case LabPort.Vxlan vxlan ->
                    other instanceof LabPort.Vxlan(var plug, var vni, var local, var peers)
                            && plug.name().equals(name(vxlan))
                            && vni == vxlan.vni()
                            && local.equals(vxlan.local())
                            && peers.equals(vxlan.peers());
        };
    }

    /// Whether a link is that of a port, or of one of the peers of a listening one.
    static boolean isOf(String link, LabPort port) {
        return link.equals(name(port))
                || (port instanceof LabPort.Stream stream
                        && stream.listens()
                        && link.matches(Pattern.quote(name(port)) + "\\.\\d+"));
    }
}
