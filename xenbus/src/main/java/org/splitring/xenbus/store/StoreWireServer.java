package org.splitring.xenbus.store;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.FixedRecvByteBufAllocator;
import java.io.IOException;
import org.splitring.hypervisor.DomId;

/// Serves the store over stream sockets with Xen's wire format (`xs_wire.h`), each connection with
/// the rights of one domain.
///
/// A connection costs bounded memory: beyond a number of answers and events that the peer has not
/// taken its requests stay unread in the socket, a half message is at most 4112 bytes, and a
/// message that says it is longer ends the connection.
public final class StoreWireServer {
    private static final int READ_BYTES = 4096;

    private final StoreTree tree;

    public StoreWireServer(StoreTree tree) {
        this.tree = tree;
    }

    /// Serves a connected stream socket on an event loop, until the peer hangs up or the channel is
    /// closed: then its watches and transactions end.
    ///
    /// @param fd belongs to the channel from here on, also when this fails
    /// @param loop an epoll event loop, such as that of a `NettyDeviceLoop`
    /// @return the channel, to be closed; its `closeFuture` tells the end
    public Channel serve(int fd, DomId domain, EventLoop loop) throws IOException {
        return WireChannels.open(fd, loop, handler(domain));
    }

    /// The handler for the one end of any stream channel; one for each channel.
    public ChannelHandler handler(DomId domain) {
        return new WireConnection(tree, domain);
    }

    static void configure(Channel channel) {
        channel.config()
                .setRecvByteBufAllocator(
                        new FixedRecvByteBufAllocator(READ_BYTES).maxMessagesPerRead(1));
    }
}
