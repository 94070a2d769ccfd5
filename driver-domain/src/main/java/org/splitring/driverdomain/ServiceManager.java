package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollDomainDatagramChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainSocketAddress;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Tells systemd, where it has started us as a service of `Type=notify`, that others may be started
/// (sd_notify(3)).
final class ServiceManager {
    private static final Logger LOG = LoggerFactory.getLogger(ServiceManager.class);

    private ServiceManager() {}

    /// Does nothing where nobody has asked for it. Waits until it is sent; a service manager that
    /// is not there is only logged, for the lab is up all the same.
    static void tellReady() {
        String socket = System.getenv("NOTIFY_SOCKET");
        if (socket != null && !socket.isEmpty()) {
            send(socket, "READY=1");
        }
    }

    /// @param socket a path, or behind `@` an address that has none
    static void send(String socket, String message) {
        String path = socket.startsWith("@") ? "\0" + socket.substring(1) : socket;
        EventLoopGroup loop = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
        try {
            ChannelFuture sent =
                    new Bootstrap()
                            .group(loop)
                            .channel(EpollDomainDatagramChannel.class)
                            .handler(new ChannelInboundHandlerAdapter())
                            .connect(new DomainSocketAddress(path))
                            .await();
            if (sent.isSuccess()) {
                sent = sent.channel().writeAndFlush(Unpooled.copiedBuffer(message, UTF_8)).await();
            }
            if (!sent.isSuccess()) {
                LOG.warn("NOTIFY_SOCKET {}: {}", socket, sent.cause() + "");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            var ignored = loop.shutdownGracefully(0, 1, TimeUnit.SECONDS); // closes the channel
        }
    }
}
