package org.splitring.xenbus.store;

import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.nio.file.Path;
import org.splitring.hypervisor.linux.Fd;

/// Stream channels: over descriptors that somebody handed us, or to a socket in the file system.
@SuppressWarnings("FutureReturnValueIgnored") // of close: its end is seen as inactivity
final class WireChannels {
    private WireChannels() {}

    static Channel open(int fd, EventLoop loop, ChannelHandler handler) throws IOException {
        try {
            // A write to a peer that does not read must not hold the loop.
            Fd.setNonBlocking(fd, true);
        } catch (IOException e) {
            Fd.close(fd);
            throw e;
        }
        EpollDomainSocketChannel channel = new EpollDomainSocketChannel(fd);
        channel.pipeline().addLast(handler);
        loop.register(channel)
                .addListener(
                        registered -> {
                            if (!registered.isSuccess()) {
                                channel.unsafe().closeForcibly();
                            }
                        });
        return channel;
    }

    /// Connects to a Unix socket. Waits, so not from the loop.
    static Channel connect(Path path, EventLoop loop, ChannelHandler handler) throws IOException {
        EpollDomainSocketChannel channel = new EpollDomainSocketChannel();
        channel.pipeline().addLast(handler);
        loop.register(channel).syncUninterruptibly();
        ChannelFuture connected = channel.connect(new DomainSocketAddress(path.toFile()));
        if (!connected.awaitUninterruptibly().isSuccess()) {
            channel.close();
            throw new IOException(path + ": " + connected.cause().getMessage(), connected.cause());
        }
        return channel;
    }
}
