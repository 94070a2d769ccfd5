package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoop;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

/// Where [StreamPort]s come from: a socket that peers connect to, each of whom is a port of its
/// own, or a peer that we connect to, again and again.
///
/// Addresses are Unix sockets and loopback; a stream has neither sender nor secret, and belongs
/// on no other network. Whoever may open a Unix socket's folder may plug in.
public final class StreamPorts implements AutoCloseable {
    /// Most peers that are connected to one socket at a time.
    public static final int MAX_PEERS = 64;

    /// After a peer that was refused, and before the next attempt to reach one: this bounds the
    /// work and the log that somebody can cause who connects all the time.
    private static final long PAUSE_MILLIS = 1000;

    private static final Logger LOG = LoggerFactory.getLogger(StreamPorts.class);

    private final VirtualNetwork network;
    private final int mtu;
    private final EventLoop loop;
    private final SocketAddress address;
    private final Set<StreamPort> ports = new HashSet<>(); // the loop's, as all below
    private PortSettings settings;
    private volatile @Nullable Channel listening;
    private int next;
    private boolean unreachable;
    private boolean closed;

    private StreamPorts(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            EventLoop loop,
            SocketAddress address) {
        this.network = network;
        this.settings = settings;
        this.mtu = mtu;
        this.loop = loop;
        this.address = address;
    }

    /// Listens. The ports are called `NAME.0`, `NAME.1` and so on.
    ///
    /// @param settings of each port, but for its name
    /// @param loop the network's; not called from it
    /// @param address a [DomainSocketAddress], or loopback
    /// @throws IOException when it is in use, or cannot be listened on: the message says where
    public static StreamPorts listen(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            EventLoop loop,
            SocketAddress address)
            throws IOException {
        StreamPorts ports = new StreamPorts(network, settings, mtu, loop, checked(address));
        if (address instanceof DomainSocketAddress path) {
            SocketPaths.checkFree(settings.name(), loop, path);
        }
        ChannelFuture bound =
                new ServerBootstrap()
                        .group(loop)
                        .channel(serverType(address))
                        .handler(ports.new Doorkeeper())
                        .childHandler(
                                new ChannelInitializer<Channel>() {
                                    @Override
                                    protected void initChannel(Channel channel) {
                                        ports.accept(channel);
                                    }
                                })
                        .bind(address)
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "port "
                            + settings.name()
                            + ": cannot listen on "
                            + address
                            + ": "
                            + bound.cause(),
                    bound.cause());
        }
        return ports;
    }

    /// Connects, and connects again when the connection ends or there is nobody yet. The port has
    /// the name as it is.
    ///
    /// @param loop the network's
    /// @param address a [DomainSocketAddress], or loopback
    public static StreamPorts connect(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            EventLoop loop,
            SocketAddress address) {
        StreamPorts ports = new StreamPorts(network, settings, mtu, loop, checked(address));
        loop.execute(ports::reach);
        return ports;
    }

    private static SocketAddress checked(SocketAddress address) {
        if (address instanceof InetSocketAddress inet) {
            InetAddress host = inet.getAddress();
            if (host == null || !host.isLoopbackAddress()) {
                throw new IllegalArgumentException(
                        address + " is not on loopback: frames have no protection there");
            }
        }
        return address;
    }

    private static Class<? extends ServerChannel> serverType(SocketAddress address) {
        return address instanceof DomainSocketAddress
                ? EpollServerDomainSocketChannel.class
                : EpollServerSocketChannel.class;
    }

    /// Knows the listening channel.
    private final class Doorkeeper extends ChannelInboundHandlerAdapter {
        @Override
        public void handlerAdded(ChannelHandlerContext context) {
            listening = context.channel();
        }
    }

    /// Replaces the settings of ports to come; those that are there have theirs changed at their
    /// links. On the loop.
    public void configure(PortSettings now) {
        settings = now;
    }

    private void accept(Channel channel) {
        if (ports.size() >= MAX_PEERS) {
            var ignored = channel.close();
            rest("a peer was refused: there are " + MAX_PEERS + " already");
            return;
        }
        plugIn(channel, settings.withName(settings.name() + "." + next++));
    }

    private void plugIn(Channel channel, PortSettings port) {
        StreamPort[] self = new StreamPort[1];
        StreamPort made =
                new StreamPort(
                        network,
                        port,
                        mtu,
                        reason -> {
                            ports.remove(self[0]);
                            ended(port.name(), reason);
                        });
        self[0] = made;
        ports.add(made);
        channel.pipeline().addLast(made);
    }

    private void ended(String portName, String reason) {
        if (closed) {
            return;
        }
        if (listening != null) {
            rest("port " + portName + ": " + reason);
        } else {
            LOG.warn("network {}: port {}: {}", network, portName, reason);
            var ignored = loop.schedule(this::reach, PAUSE_MILLIS, TimeUnit.MILLISECONDS);
        }
    }

    /// Does not accept for a while.
    private void rest(String reason) {
        LOG.warn("network {}: {}", network, reason);
        Channel door = listening;
        if (door != null && !closed) {
            door.config().setAutoRead(false);
            var ignored =
                    loop.schedule(
                            () -> door.config().setAutoRead(true),
                            PAUSE_MILLIS,
                            TimeUnit.MILLISECONDS);
        }
    }

    private void reach() {
        if (closed) {
            return;
        }
        new Bootstrap()
                .group(loop)
                .channel(
                        address instanceof DomainSocketAddress
                                ? EpollDomainSocketChannel.class
                                : EpollSocketChannel.class)
                .handler(
                        new ChannelInitializer<Channel>() {
                            @Override
                            protected void initChannel(Channel channel) {
                                // plugged in when it is connected
                            }
                        })
                .connect(address)
                .addListener(
                        (ChannelFuture future) -> {
                            if (future.isSuccess() && !closed) {
                                unreachable = false;
                                plugIn(future.channel(), settings);
                            } else {
                                var ignored = future.channel().close();
                                retry(future.cause());
                            }
                        });
    }

    private void retry(@Nullable Throwable cause) {
        if (!closed) {
            if (!unreachable) { // said once, until it has been reached
                unreachable = true;
                LOG.warn(
                        "network {}: port {}: {} is not there: {}",
                        network,
                        settings.name(),
                        address,
                        cause);
            }
            var ignored = loop.schedule(this::reach, PAUSE_MILLIS, TimeUnit.MILLISECONDS);
        }
    }

    /// Whether peers may connect, now or after a moment. Any thread.
    public boolean isListening() {
        Channel door = listening;
        return door != null && door.isOpen();
    }

    /// Ends all connections, and unplugs their ports. Any thread but the loop.
    @Override
    public void close() {
        loop.submit(
                        () -> {
                            closed = true;
                            Channel door = listening;
                            if (door != null) {
                                var ignored = door.close();
                            }
                            Set.copyOf(ports).forEach(StreamPort::close);
                        })
                .awaitUninterruptibly();
    }
}
