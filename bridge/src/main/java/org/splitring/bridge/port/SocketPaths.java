package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/// Looks at the path of a Unix socket before Netty binds it: Netty removes whatever is there, a
/// file or somebody's socket too.
final class SocketPaths {
    private SocketPaths() {}

    /// @param name of the port, for the message
    /// @throws IOException when the path is no socket's, or a living process is bound to it
    static void checkFree(String name, EventLoop loop, DomainSocketAddress address)
            throws IOException {
        Path path = Path.of(address.path());
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                .isOther()) {
            throw new IOException("port " + name + ": " + path + " is there and is no socket");
        }
        ChannelFuture probe =
                new Bootstrap()
                        .group(loop)
                        .channel(EpollDomainSocketChannel.class)
                        .handler(new ChannelInboundHandlerAdapter())
                        .connect(address)
                        .awaitUninterruptibly();
        var ignored = probe.channel().close();
        if (probe.isSuccess()) {
            throw new IOException("port " + name + ": " + path + " is in use");
        }
    }
}
