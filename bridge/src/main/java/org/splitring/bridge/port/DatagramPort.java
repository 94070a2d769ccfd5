package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainDatagramChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

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
    private final int maxBytes;
    private final InboundFrame inbound = new InboundFrame(StreamPort.MAX_LENGTH);
    private final DatagramEnd end;

    private DatagramPort(EventLoop loop, SocketAddress local, SocketAddress peer) {
        this.local = local;
        this.peer = peer;
        maxBytes = local instanceof DomainSocketAddress ? Frame.MAX_BYTES : MAX_UDP_BYTES;
        end = new DatagramEnd(loop, this::take);
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
            EventLoop loop,
            SocketAddress local,
            SocketAddress peer)
            throws IOException {
        if (!isLocal(local) || !isLocal(peer) || local.getClass() != peer.getClass()) {
            throw new IllegalArgumentException(
                    local + " and " + peer + " are not two Unix sockets, or both on loopback");
        }
        if (local instanceof DomainSocketAddress path) {
            SocketPaths.checkFree(settings.name(), loop, EpollDomainDatagramChannel.class, path);
        }
        DatagramPort port = new DatagramPort(loop, local, peer);
        port.end.open(network, port, settings, mtu, local, StreamPort.MAX_LENGTH);
        return port;
    }

    private static boolean isLocal(SocketAddress address) {
        if (address instanceof InetSocketAddress inet) {
            return !inet.isUnresolved() && inet.getAddress().isLoopbackAddress();
        }
        return address instanceof DomainSocketAddress;
    }

    private void take(ByteBuf bytes, SocketAddress sender, PortLink to) {
        if (!peer.equals(sender)) {
            to.drop(PortCounter.IN_DROPPED_PEER);
        } else if (bytes.readableBytes() > Frame.MAX_BYTES) {
            to.drop(PortCounter.IN_DROPPED_OVERSIZE);
        } else {
            inbound.begin();
            inbound.take(bytes, bytes.readableBytes());
            to.receive(inbound.frame());
        }
    }

    @Override
    public boolean offer(Frame frame) {
        ByteBufAllocator room = end.room();
        if (room == null || frame.sizeBytes() > maxBytes) {
            return false;
        }
        end.write(OutboundFrames.copy(room, 0, frame), peer);
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
