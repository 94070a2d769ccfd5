package org.splitring.driverdomain.nbd;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.ServerChannel;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.LookOut;

/// Serves disks to NBD clients from one event loop, on any number of Unix sockets and loopback
/// ports. Disks may come and go. The export of the lowest name is the default one, under the empty
/// name.
@SuppressWarnings("FutureReturnValueIgnored") // closing has one listener, set at the start
public final class NbdServer implements AutoCloseable {
    /// What each client takes of a disk's memory.
    public static final int BYTES_PER_CLIENT = PieceShare.TOTAL_BYTES;

    /// Bytes waiting for a slow reader before his requests are left lying in his own socket.
    private static final WriteBufferWaterMark WATER_MARK =
            new WriteBufferWaterMark(256 << 10, 1 << 20);

    private static final Duration DRAIN = Duration.ofSeconds(2);

    private final EventLoop loop;
    private final ConcurrentNavigableMap<String, NbdExport> exports = new ConcurrentSkipListMap<>();
    private final NbdLimits limits;
    private final @Nullable NbdTls tls;
    private final NbdMetrics metrics = new NbdMetrics();

    private final List<Channel> listeners = new ArrayList<>();
    private final List<Path> socketFiles = new ArrayList<>();
    private final Set<Channel> clients = new HashSet<>(); // on the loop
    private final Set<NbdTransmission> transmissions = new HashSet<>(); // on the loop
    private final CountDownLatch quiet = new CountDownLatch(1);
    private final List<Removal> removals = new ArrayList<>(); // on the loop
    private boolean closing; // on the loop
    private volatile @Nullable LookOut lookOut;

    /// A disk that is offered no longer, and whose clients are on their way out.
    private record Removal(ExportedDisk disk, CountDownLatch gone) {}

    /// @param loop an epoll loop, the one on which the disks are called
    public NbdServer(EventLoop loop, List<NbdExport> exports, NbdLimits limits) {
        this(loop, exports, limits, null);
    }

    /// @param tls if there is one, nobody is told or given anything without it
    public NbdServer(
            EventLoop loop, List<NbdExport> exports, NbdLimits limits, @Nullable NbdTls tls) {
        this.tls = tls;
        this.loop = loop;
        this.limits = limits;
        for (NbdExport export : exports) {
            this.exports.put(export.name(), export);
        }
    }

    /// Looks on for a moment after each request before the loop sleeps, for as long as
    /// [DeviceLoop#spinNanos] says. It pays where this process and its client are all that a
    /// request has to do with.
    ///
    /// @param deviceLoop the same loop
    public void lookOut(DeviceLoop deviceLoop) {
        lookOut = new LookOut(deviceLoop);
    }

    /// A client has sent something. On the loop.
    void noteActivity() {
        LookOut keepsAwake = lookOut;
        if (keepsAwake != null) {
            keepsAwake.noteActivity();
        }
    }

    /// How long more is waited for of what a client is just sending. On the loop.
    long patienceNanos() {
        LookOut keepsAwake = lookOut;
        return keepsAwake == null ? 0 : keepsAwake.mostNanos();
    }

    /// Offers one more disk. Any thread.
    public void add(NbdExport export) {
        exports.put(export.name(), export);
    }

    /// Offers a disk no longer: its clients are answered what they have asked for, and end. Those
    /// that have not taken their answers in time are cut off. Not from the loop.
    public void remove(String name, Duration drain) {
        NbdExport export = exports.remove(name);
        if (export == null) {
            return;
        }
        Removal removal = new Removal(export.disk(), new CountDownLatch(1));
        loop.execute(
                () -> {
                    removals.add(removal);
                    users(removal.disk).forEach(NbdTransmission::drain);
                    finishWhenQuiet();
                });
        await(removal.gone, drain, () -> users(removal.disk).forEach(NbdTransmission::closeNow));
    }

    private List<NbdTransmission> users(ExportedDisk disk) {
        return transmissions.stream().filter(it -> it.disk().equals(disk)).toList();
    }

    /// Waits for the end of clients; runs `cutOff` on the loop when it does not come in time.
    private void await(CountDownLatch end, Duration drain, Runnable cutOff) {
        try {
            if (!end.await(drain.toNanos(), TimeUnit.NANOSECONDS)) {
                loop.execute(cutOff);
                end.await(DRAIN.toNanos(), TimeUnit.NANOSECONDS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Listens on a Unix socket; the file must not be there.
    ///
    /// @throws IOException with the path in its message
    public synchronized void listen(Path socket) throws IOException {
        bind(
                EpollServerDomainSocketChannel.class,
                new DomainSocketAddress(socket.toFile()),
                "socket " + socket);
        socketFiles.add(socket);
    }

    /// Listens on a port of the loopback address.
    ///
    /// @param port 0 for any free one
    /// @return the port
    /// @throws IOException with the port in its message
    public synchronized int listenOnLoopback(int port) throws IOException {
        Channel channel =
                bind(
                        EpollServerSocketChannel.class,
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), port),
                        "tcp port " + port + " of the loopback address");
        return ((InetSocketAddress) channel.localAddress()).getPort();
    }

    private Channel bind(Class<? extends ServerChannel> type, SocketAddress address, String what)
            throws IOException {
        ServerBootstrap bootstrap =
                new ServerBootstrap()
                        .group(loop)
                        .channel(type)
                        .childOption(ChannelOption.WRITE_BUFFER_WATER_MARK, WATER_MARK)
                        .childHandler(newClient());
        if (type == EpollServerSocketChannel.class) {
            bootstrap.option(ChannelOption.SO_REUSEADDR, true);
            bootstrap.childOption(ChannelOption.TCP_NODELAY, true);
        }
        ChannelFuture bound = bootstrap.bind(address).awaitUninterruptibly();
        Throwable cause = bound.cause();
        if (cause != null) {
            throw new IOException("cannot listen on " + what + ": " + cause.getMessage(), cause);
        }
        listeners.add(bound.channel());
        return bound.channel();
    }

    private ChannelHandler newClient() {
        return new ChannelInitializer<>() {
            @Override
            protected void initChannel(Channel channel) {
                if (closing || clients.size() >= limits.maxConnections()) {
                    metrics.connectionsRefused++;
                    channel.close();
                    return;
                }
                clients.add(channel);
                metrics.connections = clients.size();
                channel.closeFuture().addListener(closed -> gone(channel));
                channel.config().setRecvByteBufAllocator(new ReceiveBuffers());
                channel.pipeline().addLast("handshake", new NbdHandshake(NbdServer.this));
            }
        };
    }

    private void gone(Channel channel) {
        clients.remove(channel);
        metrics.connections = clients.size();
        finishWhenQuiet();
    }

    Collection<NbdExport> exports() {
        return exports.values();
    }

    /// The export under a name that a client sent; the empty name means the first.
    @Nullable NbdExport export(String name) {
        Map.Entry<String, NbdExport> first = exports.firstEntry();
        return !name.isEmpty() ? exports.get(name) : first == null ? null : first.getValue();
    }

    @Nullable NbdTls tls() {
        return tls;
    }

    NbdLimits limits() {
        return limits;
    }

    public NbdMetrics metrics() {
        return metrics;
    }

    void started(NbdTransmission transmission) {
        transmissions.add(transmission);
    }

    void ended(NbdTransmission transmission) {
        transmissions.remove(transmission);
        finishWhenQuiet();
    }

    private void finishWhenQuiet() {
        removals.removeIf(
                removal -> {
                    boolean over = users(removal.disk).isEmpty();
                    if (over) {
                        removal.gone.countDown();
                    }
                    return over;
                });
        if (closing && clients.isEmpty() && transmissions.isEmpty()) {
            quiet.countDown();
        }
    }

    /// Takes no more clients and requests, answers what is in flight, and ends. Clients that do not
    /// take their answers within two seconds are cut off. Not from the loop.
    @Override
    public void close() {
        close(DRAIN);
    }

    /// As [#close()], with another time for clients.
    public synchronized void close(Duration drain) {
        for (Channel listener : listeners) {
            listener.close().awaitUninterruptibly();
        }
        listeners.clear();
        loop.execute(
                () -> {
                    closing = true;
                    for (Channel client : List.copyOf(clients)) {
                        if (client.pipeline().get(NbdTransmission.class) == null) {
                            client.close();
                        }
                    }
                    List.copyOf(transmissions).forEach(NbdTransmission::drain);
                    finishWhenQuiet();
                });
        await(quiet, drain, () -> List.copyOf(clients).forEach(Channel::close));
        for (Path file : socketFiles) {
            try {
                Files.deleteIfExists(file);
            } catch (IOException e) {
                // Its folder is gone already: that is what was wanted.
            }
        }
        socketFiles.clear();
    }
}
