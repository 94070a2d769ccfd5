package org.splitring.driverdomain.lab;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.splitring.bridge.InterfaceAddress;
import org.splitring.bridge.PortVlans;

/// A port of a network to somebody else than a guest of the lab.
public sealed interface LabPort {
    /// What is the same for every kind.
    Plug plug();

    /// A port's end at the network.
    ///
    /// @param name `vifname=`, or what it is called without
    /// @param vlans `vlan=`
    /// @param addresses `address=`: what a router has at this port, with its subnet
    /// @param via `via=`: the router outside
    /// @param place `file:line: key`, for messages
    record Plug(
            String name,
            Optional<PortVlans> vlans,
            List<InterfaceAddress> addresses,
            Optional<InetAddress> via,
            String place) {
        public Plug {
            addresses = List.copyOf(addresses);
        }
    }

    /// An interface of this machine.
    ///
    /// @param addresses that it is given
    record Tap(Plug plug, String interfaceName, List<LabPrefix> addresses) implements LabPort {
        public Tap {
            addresses = List.copyOf(addresses);
        }
    }

    /// Where a stream or a datagram socket is.
    sealed interface Address permits UnixAddress, LoopbackAddress {}

    record UnixAddress(Path path) implements Address {}

    record LoopbackAddress(InetSocketAddress address) implements Address {}

    /// QEMU's `-netdev stream`, and passt.
    ///
    /// @param listens or connects
    record Stream(Plug plug, Address address, boolean listens) implements LabPort {}

    /// QEMU's `-netdev dgram`.
    record Datagram(Plug plug, Address local, Address peer) implements LabPort {}

    /// A cable to another network of the lab, which has a port of this network's name then.
    record Link(Plug plug, String network) implements LabPort {}

    /// A VXLAN segment.
    record Vxlan(Plug plug, int vni, InetSocketAddress local, List<InetSocketAddress> peers)
            implements LabPort {
        public Vxlan {
            peers = List.copyOf(peers);
        }
    }
}
