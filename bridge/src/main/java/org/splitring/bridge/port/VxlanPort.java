package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.List;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

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
    private static final int ADDRESSES_BYTES = 12;
    private static final long GROUP_BIT = 1L << 40;

    private final int vni;
    private final InetSocketAddress[] peers;
    private final PeerTable table = new PeerTable();
    private final InboundFrame inbound = new InboundFrame(MAX_UDP_BYTES);
    private final DatagramEnd end;

    private VxlanPort(EventLoop loop, int vni, List<InetSocketAddress> peers) {
        this.vni = vni;
        this.peers = peers.toArray(InetSocketAddress[]::new);
        end = new DatagramEnd(loop, this::take);
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
            EventLoop loop,
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
        VxlanPort port = new VxlanPort(loop, vni, peers);
        port.end.open(network, port, settings, mtu, local, MAX_UDP_BYTES);
        return port;
    }

    private void take(ByteBuf bytes, SocketAddress sender, PortLink to) {
        int peer = peer(((InetSocketAddress) sender).getAddress());
        if (peer < 0
                || bytes.readableBytes() < VxlanHeader.BYTES
                || VxlanHeader.vni(bytes) != vni) {
            to.drop(PortCounter.IN_DROPPED_PEER);
            return;
        }
        bytes.skipBytes(VxlanHeader.BYTES);
        inbound.begin();
        inbound.take(bytes, bytes.readableBytes());
        if (inbound.sizeBytes() >= ADDRESSES_BYTES && (inbound.source() & GROUP_BIT) == 0) {
            table.learn(inbound.source(), peer);
        }
        to.receive(inbound.frame());
    }

    /// By address alone: the outer source port is a hash of the flow (RFC 7348 §5).
    private int peer(InetAddress address) {
        for (int i = 0; i < peers.length; i++) {
            if (peers[i].getAddress().equals(address)) {
                return i;
            }
        }
        return PeerTable.UNKNOWN;
    }

    @Override
    public boolean offer(Frame frame) {
        ByteBufAllocator room = end.room();
        if (room == null || frame.sizeBytes() > MAX_UDP_BYTES - VxlanHeader.BYTES) {
            return false;
        }
        int known = table.find(frame.mac(0));
        ByteBuf bytes = OutboundFrames.copy(room, VxlanHeader.BYTES, frame);
        VxlanHeader.write(bytes, vni);
        if (known != PeerTable.UNKNOWN) {
            end.write(bytes, peers[known]);
            return true;
        }
        for (InetSocketAddress peer : peers) {
            end.write(bytes.retainedDuplicate(), peer);
        }
        bytes.release();
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
