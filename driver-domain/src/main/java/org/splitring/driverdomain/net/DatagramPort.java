package org.splitring.driverdomain.net;

import io.netty.channel.unix.DomainSocketAddress;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.file.Path;
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

/// A port over a datagram socket, as QEMU's `-netdev dgram` speaks it: each datagram is a frame.
/// Between Unix sockets, or UDP on loopback. There is no connection: frames for a peer that is not
/// there are lost, and datagrams of anybody else than the peer are dropped and counted.
///
/// Source: QEMU `net/dgram.c`.
public final class DatagramPort implements FramePort, AutoCloseable {
    /// Largest datagram that UDP over IPv4 has room for.
    private static final int MAX_UDP_BYTES = 65_507;

    private final SocketAddress local;
    private final SocketAddress peer;
    private final SockAddr peerAddress;
    private final int maxBytes;
    private final DatagramEnd end;

    private DatagramPort(
            NettyDeviceLoop loop,
            DatagramSocket socket,
            SocketAddress local,
            SocketAddress peer,
            SockAddr peerAddress) {
        this.local = local;
        this.peer = peer;
        this.peerAddress = peerAddress;
        maxBytes = local instanceof DomainSocketAddress ? Frame.MAX_BYTES : MAX_UDP_BYTES;
        end = new DatagramEnd(loop, socket, this::take);
    }

    /// Opens the socket and plugs the port in.
    ///
    /// @param loop the network's; not called from it
    /// @param local where we receive; a Unix socket that nobody is bound to any more is replaced
    /// @param peer where we send to, and whom alone we receive from
    /// @throws IOException when the local address is in use: the message says where
    public static DatagramPort open(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            NettyDeviceLoop loop,
            SocketAddress local,
            SocketAddress peer)
            throws IOException {
        if (!isLocal(local) || !isLocal(peer) || local.getClass() != peer.getClass()) {
            throw new IllegalArgumentException(
                    local + " and " + peer + " are not two Unix sockets, or both on loopback");
        }
        DatagramPort port = bound(loop, settings.name(), local, peer);
        try {
            port.end.plugIn(network, port, settings, mtu);
        } catch (IOException e) {
            port.close();
            throw e;
        }
        return port;
    }

    private static DatagramPort bound(
            NettyDeviceLoop loop, String name, SocketAddress local, SocketAddress peer)
            throws IOException {
        try {
            if (local instanceof DomainSocketAddress path) {
                SockAddr to = SockAddr.of(Path.of(((DomainSocketAddress) peer).path()));
                DatagramSocket socket = DatagramSocket.bind(Path.of(path.path()));
                return new DatagramPort(loop, socket, local, peer, to);
            }
            DatagramSocket socket = DatagramSocket.bind((InetSocketAddress) local);
            SockAddr to = socket.peer((InetSocketAddress) peer);
            return new DatagramPort(loop, socket, local, peer, to);
        } catch (IOException e) {
            throw new IOException("port " + name + ": " + e.getMessage(), e);
        }
    }

    private static boolean isLocal(SocketAddress address) {
        if (address instanceof InetSocketAddress inet) {
            return !inet.isUnresolved() && inet.getAddress().isLoopbackAddress();
        }
        return address instanceof DomainSocketAddress;
    }

    private void take(IncomingDatagrams from, int i, Frame frame, PortLink to) {
        if (!from.isFrom(i, peerAddress)) {
            to.drop(PortCounter.IN_DROPPED_PEER);
        } else if (from.isCut(i)) {
            to.drop(PortCounter.IN_DROPPED_OVERSIZE);
        } else {
            frame.append(from.memory(), from.offset(i), from.sizeBytes(i));
            to.receive(frame);
        }
    }

    @Override
    public boolean offer(Frame frame) {
        int sizeBytes = frame.sizeBytes();
        if (sizeBytes > maxBytes) {
            return false;
        }
        int at = end.reserve(sizeBytes, 1);
        if (at == OutgoingDatagrams.NO_ROOM) {
            return false;
        }
        frame.copyTo(end.memory(), at, 0, sizeBytes);
        end.add(peerAddress);
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
        if (local instanceof DomainSocketAddress path) {
            new File(path.path()).delete();
        }
    }

    @Override
    public String toString() {
        return local + " to " + peer;
    }
}
