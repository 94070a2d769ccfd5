package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
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
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

/// A datagram socket and the port's link that it feeds: what ports over UDP and over Unix datagrams
/// have in common. On the network's loop, except where a method says otherwise.
///
/// Netty makes an object of each datagram and its addresses, so these ports are not free of
/// allocation; the module's README has the numbers.
final class DatagramEnd extends ChannelInboundHandlerAdapter {
    private final EventLoop loop;
    private final Receiver receiver;
    private boolean isUnix;
    private @Nullable Channel channel;
    private @Nullable PortLink link;

    /// Takes what comes in.
    @FunctionalInterface
    interface Receiver {
        /// Passes a datagram on to the link, or drops it there.
        ///
        /// @param bytes valid during the call
        void take(ByteBuf bytes, SocketAddress sender, PortLink link);
    }

    /// @param loop the network's
    DatagramEnd(EventLoop loop, Receiver receiver) {
        this.loop = loop;
        this.receiver = receiver;
    }

    /// Binds the socket and plugs the port in. Any thread but the loop.
    ///
    /// @param maxBytes of a datagram; what is longer is cut
    /// @throws IOException when the address is in use or not ours: the message says where
    void open(
            VirtualNetwork network,
            FramePort port,
            PortSettings settings,
            int mtu,
            SocketAddress local,
            int maxBytes)
            throws IOException {
        isUnix = local instanceof DomainSocketAddress;
        ChannelFuture bound =
                new Bootstrap()
                        .group(loop)
                        .channel(
                                isUnix
                                        ? EpollDomainDatagramChannel.class
                                        : EpollDatagramChannel.class)
                        .option(
                                ChannelOption.RECVBUF_ALLOCATOR,
                                new FixedRecvByteBufAllocator(maxBytes))
                        .handler(this)
                        .bind(local)
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "port " + settings.name() + ": cannot bind " + local + ": " + bound.cause(),
                    bound.cause());
        }
        try {
            loop.submit(() -> attach(network, port, settings, mtu, bound.channel())).sync();
        } catch (InterruptedException e) {
            close();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    private void attach(
            VirtualNetwork network, FramePort port, PortSettings settings, int mtu, Channel bound) {
        channel = bound;
        try {
            link = network.attach(port, settings, PortCapabilities.plain(mtu));
        } catch (IllegalArgumentException | IllegalStateException e) {
            var ignored = bound.close();
            throw e;
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        try {
            PortLink to = link;
            if (to == null) {
                return;
            }
            if (message instanceof DatagramPacket packet) {
                receiver.take(packet.content(), packet.sender(), to);
            } else if (message instanceof DomainDatagramPacket packet) {
                receiver.take(packet.content(), packet.sender(), to);
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

    /// Where datagrams to send are allocated; null while there is no room for any.
    @Nullable ByteBufAllocator room() {
        Channel open = channel;
        return open == null || !open.isWritable() ? null : open.alloc();
    }

    /// Sends a datagram at the next flush.
    ///
    /// @param bytes taken over
    void write(ByteBuf bytes, SocketAddress to) {
        Channel open = channel;
        if (open == null) {
            bytes.release();
            return;
        }
        var ignored =
                open.write(
                        isUnix
                                ? new DomainDatagramPacket(bytes, (DomainSocketAddress) to)
                                : new DatagramPacket(bytes, (InetSocketAddress) to),
                        open.voidPromise());
    }

    void flush() {
        Channel open = channel;
        if (open != null) {
            open.flush();
        }
    }

    /// Unplugs the port and closes the socket. Any thread but the loop.
    void close() {
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
        }
    }
}
