package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A client's stream socket.
@SuppressWarnings("FutureReturnValueIgnored") // of close: its end is seen as inactivity
final class ClientSocket implements ClientTransport {
    private static final Logger LOG = LoggerFactory.getLogger(ClientSocket.class);

    private final StoreWireClient client;
    private final Channel channel;

    private ClientSocket(StoreWireClient client, Channel channel) {
        this.client = client;
        this.channel = channel;
    }

    static ClientSocket open(int fd, EventLoop loop, StoreWireClient client) throws IOException {
        return new ClientSocket(client, WireChannels.open(fd, loop, new Answers(client)));
    }

    static ClientSocket connect(Path path, EventLoop loop, StoreWireClient client)
            throws IOException {
        return new ClientSocket(client, WireChannels.connect(path, loop, new Answers(client)));
    }

    @Override
    public boolean inLoop() {
        return channel.eventLoop().inEventLoop();
    }

    @Override
    public void send(WireMessage message) {
        channel.writeAndFlush(message.encode(channel.alloc()))
                .addListener(
                        written -> {
                            if (!written.isSuccess()) {
                                client.fail("the connection to the store broke");
                            }
                        });
    }

    @Override
    public void close() {
        channel.close();
    }

    /// Reads answers and events. On the channel's event loop.
    private static final class Answers extends ChannelInboundHandlerAdapter {
        private final StoreWireClient client;
        private final ByteBuf in = Unpooled.buffer(256, 1 << 20);

        Answers(StoreWireClient client) {
            this.client = client;
        }

        @Override
        public void channelRead(ChannelHandlerContext ctx, Object message) {
            try {
                in.writeBytes((ByteBuf) message);
            } finally {
                ReferenceCountUtil.release(message);
            }
            if (!client.received(in)) {
                in.clear();
                ctx.close();
            }
        }

        @Override
        public void channelInactive(ChannelHandlerContext ctx) {
            client.fail("the store has hung up");
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
            if (!(cause instanceof IOException)) {
                LOG.error("store of domain {}", client.domain(), cause);
            }
            ctx.close();
        }
    }
}
