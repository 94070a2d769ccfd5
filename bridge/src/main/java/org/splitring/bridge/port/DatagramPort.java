package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.epoll.EpollDatagramChannel;
import io.netty.channel.epoll.EpollDomainDatagramChannel;
import io.netty.channel.socket.DatagramPacket;
import io.netty.channel.unix.DomainDatagramPacket;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.ReferenceCountUtil;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

/// A port over a datagram socket, as QEMU's `-netdev dgram` speaks it: each datagram is a frame.
/// Between Unix sockets, or UDP on loopback. There is no connection: frames for a peer that is not
/// there are lost, and datagrams of anybody else than the peer are dropped and counted.
///
/// Source: QEMU `net/dgram.c`.
public final class DatagramPort extends ChannelInboundHandlerAdapter
        implements FramePort, AutoCloseable {
    /// Largest datagram that UDP over IPv4 has room for.
    private static final int MAX_UDP_BYTES = 65_507;

    private final EventLoop loop;
    private final SocketAddress local;
    private final SocketAddress peer;
    private final boolean isUnix;
    private final int maxBytes;
    private final InboundFrame inbound;
    private @Nullable Channel channel;
    private @Nullable PortLink link;

    private DatagramPort(EventLoop loop, SocketAddress local, SocketAddress peer) {
        this.loop = loop;
        this.local = local;
        this.peer = peer;
        isUnix = local instanceof DomainSocketAddress;
        maxBytes = isUnix ? Frame.MAX_BYTES : MAX_UDP_BYTES;
        inbound = new InboundFrame(StreamPort.MAX_LENGTH);
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
        DatagramPort port = new DatagramPort(loop, local, peer);
        if (local instanceof DomainSocketAddress path) {
            SocketPaths.checkFree(settings.name(), loop, EpollDomainDatagramChannel.class, path);
        }
        ChannelFuture bound = port.bind();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "port " + settings.name() + ": cannot bind " + local + ": " + bound.cause(),
                    bound.cause());
        }
        try {
            Channel opened = bound.channel();
            loop.submit(() -> port.attach(network, settings, mtu, opened)).sync();
        } catch (InterruptedException e) {
            port.close();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
        return port;
    }

    private ChannelFuture bind() {
        return new Bootstrap()
                .group(loop)
                .channel(isUnix ? EpollDomainDatagramChannel.class : EpollDatagramChannel.class)
                .option(
                        ChannelOption.RECVBUF_ALLOCATOR,
                        new FixedRecvByteBufAllocator(StreamPort.MAX_LENGTH))
                .handler(this)
                .bind(local)
                .awaitUninterruptibly();
    }

    private void attach(VirtualNetwork network, PortSettings settings, int mtu, Channel bound) {
        channel = bound;
        try {
            link = network.attach(this, settings, PortCapabilities.plain(mtu));
        } catch (IllegalArgumentException | IllegalStateException e) {
            var ignored = bound.close();
            throw e;
        }
    }

    private static boolean isLocal(SocketAddress address) {
        if (address instanceof InetSocketAddress inet) {
            return !inet.isUnresolved() && inet.getAddress().isLoopbackAddress();
        }
        return address instanceof DomainSocketAddress;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        try {
            PortLink to = link;
            if (to == null) {
                return;
            }
            ByteBuf bytes;
            SocketAddress sender;
            if (message instanceof DomainDatagramPacket packet) {
                bytes = packet.content();
                sender = packet.sender();
            } else if (message instanceof DatagramPacket packet) {
                bytes = packet.content();
                sender = packet.sender();
            } else {
                return;
            }
            if (!peer.equals(sender)) {
                to.drop(PortCounter.IN_DROPPED_PEER);
            } else if (bytes.readableBytes() > Frame.MAX_BYTES) {
                to.drop(PortCounter.IN_DROPPED_OVERSIZE);
            } else {
                inbound.begin();
                inbound.take(bytes, bytes.readableBytes());
                to.receive(inbound.frame());
            }
        } finally {
            ReferenceCountUtil.release(message);
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        PortLink to = link;
        if (to != null) {
            to.endBatch();
        }
    }

    /// A peer that is not there, or whose queue is full, is what a cable without an end is.
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        PortLink to = link;
        if (to != null) {
            to.drop(PortCounter.OUT_DROPPED_FULL);
        }
    }

    @Override
    public boolean offer(Frame frame) {
        Channel open = channel;
        if (open == null || !open.isWritable() || frame.sizeBytes() > maxBytes) {
            return false;
        }
        ByteBuf bytes = OutboundFrames.copy(open.alloc(), 0, frame);
        var ignored =
                open.write(
                        isUnix
                                ? new DomainDatagramPacket(bytes, (DomainSocketAddress) peer)
                                : new DatagramPacket(bytes, (InetSocketAddress) peer),
                        open.voidPromise());
        return true;
    }

    @Override
    public void flush() {
        Channel open = channel;
        if (open != null) {
            open.flush();
        }
    }

    /// Unplugs the port. Any thread but the loop.
    @Override
    public void close() {
        loop.submit(this::closeNow).awaitUninterruptibly();
    }

    private void closeNow() {
        PortLink attached = link;
        Channel open = channel;
        link = null;
        channel = null;
        if (attached != null) {
            attached.detach();
        }
        if (open != null) {
            var ignored = open.close();
            if (local instanceof DomainSocketAddress path) {
                new File(path.path()).delete();
            }
        }
    }

    @Override
    public String toString() {
        return local + " to " + peer;
    }
}
