package org.splitring.driverdomain.control;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoop;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpServerCodec;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/// Listens for requests of the control API. Any thread.
///
/// Whoever can open the Unix socket may do everything: the file is its owner's alone. On loopback
/// a token says who may do what ([Tokens]).
public final class ControlServer implements AutoCloseable {
    /// Most connections at a time; further ones are closed at once.
    public static final int MAX_CONNECTIONS = 128;

    private static final int MAX_LINE_BYTES = 4096;
    private static final int MAX_HEADER_BYTES = 8192;

    /// Largest body of a request.
    static final int MAX_BODY_BYTES = 64 << 10;

    private final Routes routes;
    private final JsonMapper json;
    private final Executor executor;
    private final EventLoop loop;
    private final Set<Channel> connections = ConcurrentHashMap.newKeySet();
    private final Set<Channel> listening = ConcurrentHashMap.newKeySet();

    /// @param json how values become text
    /// @param executor for the handlers, which may wait
    /// @param loop for all connections
    public ControlServer(Routes routes, JsonMapper json, Executor executor, EventLoop loop) {
        this.routes = routes;
        this.json = json;
        this.executor = executor;
        this.loop = loop;
    }

    /// Listens on a Unix socket, whose file is made; one that a killed process has left is gone
    /// before.
    ///
    /// @throws IOException with the path
    public void listen(Path socket) throws IOException {
        Files.deleteIfExists(socket);
        bind(
                EpollServerDomainSocketChannel.class,
                new DomainSocketAddress(socket.toFile()),
                null,
                socket.toString());
        Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
    }

    /// Listens on loopback.
    ///
    /// @param port 0 for any
    /// @return the port
    /// @throws IOException with the port
    public int listen(int port, Tokens tokens) throws IOException {
        Channel channel =
                bind(
                        EpollServerSocketChannel.class,
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), port),
                        tokens,
                        "port " + port);
        return ((InetSocketAddress) channel.localAddress()).getPort();
    }

    private Channel bind(
            Class<? extends ServerChannel> type,
            SocketAddress address,
            @Nullable Tokens tokens,
            String place)
            throws IOException {
        ChannelFuture bound =
                new ServerBootstrap()
                        .group(loop)
                        .channel(type)
                        .childHandler(
                                new ChannelInitializer<Channel>() {
                                    @Override
                                    protected void initChannel(Channel channel) {
                                        accept(channel, tokens);
                                    }
                                })
                        .bind(address)
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "control: cannot listen on " + place + ": " + bound.cause().getMessage(),
                    bound.cause());
        }
        listening.add(bound.channel());
        return bound.channel();
    }

    private void accept(Channel channel, @Nullable Tokens tokens) {
        if (connections.size() >= MAX_CONNECTIONS) {
            var ignored = channel.close();
            return;
        }
        connections.add(channel);
        channel.closeFuture().addListener(closed -> connections.remove(channel));
        channel.pipeline()
                .addLast(new HttpServerCodec(MAX_LINE_BYTES, MAX_HEADER_BYTES, MAX_BODY_BYTES))
                .addLast(new HttpObjectAggregator(MAX_BODY_BYTES, true))
                .addLast(new ControlHandler(routes, json, executor, tokens));
    }

    /// Ends all connections. Not on the loop.
    @Override
    public void close() {
        listening.forEach(channel -> channel.close().awaitUninterruptibly());
        connections.forEach(channel -> channel.close().awaitUninterruptibly());
    }
}
