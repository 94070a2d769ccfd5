package org.splitring.driverdomain.net;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.DatagramSocket;
import org.splitring.hypervisor.linux.IncomingDatagrams;
import org.splitring.hypervisor.linux.OutgoingDatagrams;
import org.splitring.hypervisor.linux.SockAddr;

/// A port to other machines: one VXLAN segment (RFC 7348) over UDP, with a fixed list of peers.
///
/// A frame for an address that was seen behind a peer goes to that one, every other to all. What
/// comes from a peer is never sent to another: all of them reach each other directly, and a frame
/// that went round would come twice. For the network the peers together are one port.
///
/// VXLAN has no protection of its own (N-49). What we can ask for: a sender on the list, our VNI
/// and no other, and that a frame is unpacked once, here; what is in it is a frame like any other.
/// Whoever can forge a peer's address can send into the segment: on a network that is not trusted,
/// put it over WireGuard or IPsec.
public final class VxlanPort implements FramePort, AutoCloseable {
    /// The port that IANA has given to it.
    public static final int UDP_PORT = 4789;

    /// Most peers of one segment.
    public static final int MAX_PEERS = 64;

    private static final int MAX_UDP_BYTES = 65_507;
    private static final int SOURCE_AT = 6;
    private static final int ADDRESSES_BYTES = 12;
    private static final long GROUP_BIT = 1L << 40;

    private final int vni;
    private final SockAddr[] peers;
    private final PeerTable table = new PeerTable();
    private final DatagramEnd end;

    private VxlanPort(NettyDeviceLoop loop, DatagramSocket socket, int vni, SockAddr[] peers) {
        this.vni = vni;
        this.peers = peers;
        end = new DatagramEnd(loop, socket, this::take);
    }

    /// Opens the socket and plugs the port in.
    ///
    /// @param mtu of frames in the segment; what the way to the peers takes, less 50 bytes (70 over
    ///     IPv6)
    /// @param loop the network's; not called from it
    /// @param local address and UDP port; one socket for each segment
    /// @param vni 0 to 16777215
    /// @param peers address and UDP port of each
    /// @throws IOException when the local address is in use or not ours: the message says where
    public static VxlanPort open(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            NettyDeviceLoop loop,
            InetSocketAddress local,
            int vni,
            List<InetSocketAddress> peers)
            throws IOException {
        if (vni < 0 || vni > VxlanHeader.MAX_VNI) {
            throw new IllegalArgumentException(
                    "VNI " + vni + " is not between 0 and " + VxlanHeader.MAX_VNI);
        }
        if (peers.isEmpty() || peers.size() > MAX_PEERS) {
            throw new IllegalArgumentException(
                    peers.size() + " peers: not between 1 and " + MAX_PEERS);
        }
        for (InetSocketAddress peer : peers) {
            if (peer.isUnresolved()) {
                throw new IllegalArgumentException("peer " + peer + " is no address");
            }
        }
        VxlanPort port = bound(loop, settings.name(), local, vni, peers);
        try {
            port.end.plugIn(network, port, settings, mtu);
        } catch (IOException e) {
            port.close();
            throw e;
        }
        return port;
    }

    private static VxlanPort bound(
            NettyDeviceLoop loop,
            String name,
            InetSocketAddress local,
            int vni,
            List<InetSocketAddress> peers)
            throws IOException {
        try {
            DatagramSocket socket = DatagramSocket.bind(local);
            SockAddr[] addresses = peers.stream().map(socket::peer).toArray(SockAddr[]::new);
            return new VxlanPort(loop, socket, vni, addresses);
        } catch (IOException e) {
            throw new IOException("port " + name + ": " + e.getMessage(), e);
        }
    }

    private void take(IncomingDatagrams from, int i, Frame frame, PortLink to) {
        int peer = peer(from, i);
        int sizeBytes = from.sizeBytes(i) - VxlanHeader.BYTES;
        if (peer == PeerTable.UNKNOWN
                || sizeBytes < 0
                || VxlanHeader.vni(from.memory(), from.offset(i)) != vni) {
            to.drop(PortCounter.IN_DROPPED_PEER);
            return;
        }
        if (from.isCut(i)) {
            to.drop(PortCounter.IN_DROPPED_OVERSIZE);
            return;
        }
        frame.append(from.memory(), from.offset(i) + VxlanHeader.BYTES, sizeBytes);
        if (sizeBytes >= ADDRESSES_BYTES && (frame.mac(SOURCE_AT) & GROUP_BIT) == 0) {
            table.learn(frame.mac(SOURCE_AT), peer);
        }
        to.receive(frame);
    }

    /// By address alone: the outer source port is a hash of the flow (RFC 7348 §5).
    private int peer(IncomingDatagrams from, int i) {
        for (int peer = 0; peer < peers.length; peer++) {
            if (from.isFromHost(i, peers[peer])) {
                return peer;
            }
        }
        return PeerTable.UNKNOWN;
    }

    @Override
    public boolean offer(Frame frame) {
        int sizeBytes = frame.sizeBytes();
        if (sizeBytes > MAX_UDP_BYTES - VxlanHeader.BYTES) {
            return false;
        }
        int known = table.find(frame.mac(0));
        int copies = known == PeerTable.UNKNOWN ? peers.length : 1;
        int at = end.reserve(VxlanHeader.BYTES + sizeBytes, copies);
        if (at == OutgoingDatagrams.NO_ROOM) {
            return false;
        }
        VxlanHeader.write(end.memory(), at, vni);
        frame.copyTo(end.memory(), at + VxlanHeader.BYTES, 0, sizeBytes);
        if (known != PeerTable.UNKNOWN) {
            end.add(peers[known]);
            return true;
        }
        for (SockAddr peer : peers) {
            end.add(peer);
        }
        return true;
    }

    @Override
    public void flush() {
        end.flush();
    }

    /// Unplugs the port. Any thread but the loop.
    @Override
    public void close() {
        end.close();
    }

    @Override
    public String toString() {
        return "VNI " + vni + " to " + peers.length + " peers";
    }
}
