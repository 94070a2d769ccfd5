package org.splitring.xenbus.store;

import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.channel.ServerChannelRecvByteBufAllocator;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.ConnectException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.RateLimitedLog;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.UnixSocket;

/// The Unix socket at which the tools of the host reach the store with the rights of domain 0:
/// `xenstore-ls` and its like with `XENSTORED_PATH` set, or our own commands.
///
/// Only processes of our own user, and of root, are served; the kernel says who they are. When
/// there are as many connections as allowed, nobody else is accepted until one has ended: he waits
/// in the kernel, and this process keeps its descriptors for its own work (hostile catalogue
/// H-128).
@SuppressWarnings("FutureReturnValueIgnored") // of close: its end has a listener
public final class StoreSocket implements AutoCloseable {
    /// Connections at once, unless a quarter of the descriptors of the process is less.
    public static final int MAX_CONNECTIONS = 256;

    private static final Logger LOG = LoggerFactory.getLogger(StoreSocket.class);
    private static final int BACKLOG = 128;
    private static final long RETRY_MILLIS = 100;

    private final Path path;
    private final StoreWireServer server;
    private final EventLoop loop;
    private final int maxConnections;
    private final int user = UnixSocket.effectiveUser();
    private final RateLimitedLog log = new RateLimitedLog(LOG);
    private final EpollServerDomainSocketChannel listening = new EpollServerDomainSocketChannel();
    private final Set<EpollDomainSocketChannel> clients = new HashSet<>(); // on the loop
    private boolean closing; // on the loop

    private StoreSocket(Path path, StoreWireServer server, EventLoop loop, int maxConnections) {
        this.path = path;
        this.server = server;
        this.loop = loop;
        this.maxConnections = maxConnections;
    }

    /// Listens, with [#MAX_CONNECTIONS]. Missing folders are made; a socket that a dead process
    /// left there is replaced. Not from the loop.
    ///
    /// @param loop an epoll event loop; it serves all connections
    /// @throws IOException when the path is too long for a socket, in use by a living process, or
    ///     cannot be made
    public static StoreSocket listen(Path path, StoreWireServer server, EventLoop loop)
            throws IOException {
        int most = (int) Math.min(MAX_CONNECTIONS, Fd.limit() / 4);
        return listen(path, server, loop, Math.max(1, most));
    }

    static StoreSocket listen(Path path, StoreWireServer server, EventLoop loop, int maxConnections)
            throws IOException {
        int length = path.toString().getBytes(StandardCharsets.UTF_8).length;
        if (length > UnixSocket.MAX_PATH_BYTES) {
            throw new IOException(
                    "store socket "
                            + path
                            + ": the path is "
                            + length
                            + " bytes long, at most "
                            + UnixSocket.MAX_PATH_BYTES
                            + " fit into a socket address; use a shorter folder");
        }
        StoreSocket socket = new StoreSocket(path, server, loop, maxConnections);
        if (path.getParent() != null) {
            Files.createDirectories(path.getParent());
        }
        removeStale(path);
        try {
            socket.open();
        } catch (IOException e) {
            socket.listening.unsafe().closeForcibly();
            throw e;
        }
        return socket;
    }

    private static void removeStale(Path path) throws IOException {
        if (!Files.exists(path)) {
            return;
        }
        try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
            throw new IOException(
                    "store socket " + path + " is served by another process: " + probe);
        } catch (ConnectException e) {
            if (Files.isRegularFile(path) || Files.isDirectory(path)) {
                throw new IOException("store socket " + path + ": something else is there", e);
            }
            Files.delete(path);
        }
    }

    private void open() throws IOException {
        listening.config().setBacklog(BACKLOG);
        // One at a time, so that a pause takes effect at once.
        listening.config().setRecvByteBufAllocator(new ServerChannelRecvByteBufAllocator());
        listening.config().setAutoRead(false);
        listening.pipeline().addLast(new Acceptor());
        await(loop.register(listening));
        await(listening.bind(new DomainSocketAddress(path.toFile())));
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
        listening.config().setAutoRead(true);
    }

    private void await(ChannelFuture future) throws IOException {
        Throwable cause = future.awaitUninterruptibly().cause();
        if (cause != null) {
            throw new IOException("cannot listen on store socket " + path + ": " + cause, cause);
        }
    }

    public Path path() {
        return path;
    }

    /// Takes no more connections and ends those there are. Not from the loop.
    @Override
    public void close() {
        listening.close().awaitUninterruptibly();
        loop.submit(
                        () -> {
                            closing = true;
                            List.copyOf(clients).forEach(EpollDomainSocketChannel::close);
                        })
                .awaitUninterruptibly();
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            LOG.warn("store socket {} is left behind: {}", path, e.toString());
        }
    }

    private void accept(EpollDomainSocketChannel client) {
        if (closing || !mayConnect(client)) {
            client.unsafe().closeForcibly();
            return;
        }
        clients.add(client);
        listening.config().setAutoRead(clients.size() < maxConnections);
        client.pipeline().addLast(server.handler(DomId.ZERO));
        client.closeFuture().addListener(closed -> gone(client));
        loop.register(client)
                .addListener(
                        registered -> {
                            if (!registered.isSuccess()) {
                                client.unsafe().closeForcibly();
                            }
                        });
    }

    private boolean mayConnect(EpollDomainSocketChannel client) {
        try {
            int uid = client.peerCredentials().uid();
            if (isServed(uid, user)) {
                return true;
            }
            log.warn(
                    "store socket " + path,
                    "connection of user " + uid + " refused: only user " + user);
        } catch (IOException e) {
            log.warn("store socket " + path, "connection refused: nobody knows whose it is: " + e);
        }
        return false;
    }

    static boolean isServed(int uid, int own) {
        return uid == own || uid == 0;
    }

    private void gone(EpollDomainSocketChannel client) {
        clients.remove(client);
        if (!closing) {
            listening.config().setAutoRead(clients.size() < maxConnections);
        }
    }

    private final class Acceptor extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext ctx, Object client) {
            accept((EpollDomainSocketChannel) client);
        }

        /// No descriptor left, most likely: who waits goes on waiting.
        @Override
        public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
            log.warn("store socket " + path, "connections are not accepted for now: " + cause);
            listening.config().setAutoRead(false);
            loop.schedule(
                    () -> {
                        if (!closing) {
                            listening.config().setAutoRead(clients.size() < maxConnections);
                        }
                    },
                    RETRY_MILLIS,
                    TimeUnit.MILLISECONDS);
        }
    }
}
