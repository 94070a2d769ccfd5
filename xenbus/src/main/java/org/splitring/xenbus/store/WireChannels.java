package org.splitring.xenbus.store;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import java.io.IOException;
import org.splitring.hypervisor.linux.Fd;

/// Stream channels over descriptors that somebody handed us.
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
}
