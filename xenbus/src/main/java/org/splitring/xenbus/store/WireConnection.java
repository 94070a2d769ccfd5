package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;

/// A session of the store on a channel of Netty. Everything runs on the channel's event loop.
@SuppressWarnings("FutureReturnValueIgnored") // of close: its end is seen as inactivity
final class WireConnection extends ChannelInboundHandlerAdapter implements WireTransport {
    private static final Logger LOG = LoggerFactory.getLogger(WireConnection.class);

    private final StoreTree tree;
    private final DomId domain;
    private ChannelHandlerContext ctx;
    private WireSession session;
    private boolean awaitsRoom;

    @SuppressWarnings("NullAway.Init") // set when it is added to its channel
    WireConnection(StoreTree tree, DomId domain) {
        this.tree = tree;
        this.domain = domain;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        ctx = context;
        StoreWireServer.configure(ctx.channel());
        session = new WireSession(tree, domain, this);
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        try {
            session.receive((ByteBuf) message);
        } finally {
            ReferenceCountUtil.release(message);
        }
    }

    @Override
    public void send(WireMessage message) {
        ctx.write(message.encode(ctx.alloc()), ctx.voidPromise());
    }

    @Override
    public int flush() {
        ctx.flush();
        ChannelOutboundBuffer left = ctx.channel().unsafe().outboundBuffer();
        if (left == null || left.isEmpty()) {
            return 0;
        }
        if (!awaitsRoom) {
            awaitsRoom = true;
            ctx.writeAndFlush(Unpooled.EMPTY_BUFFER) // written when all before it is
                    .addListener(
                            written -> {
                                awaitsRoom = false;
                                session.work();
                            });
        }
        return left.size();
    }

    @Override
    public void wantBytes(boolean wanted) {
        ctx.channel().config().setAutoRead(wanted);
    }

    @Override
    public void execute(Runnable task) {
        try {
            ctx.executor().execute(task);
        } catch (RejectedExecutionException e) {
            // The loop has been shut down, and this connection with it: nobody is there to be told.
            LOG.debug("store connection of domain {}: loop has ended", domain);
        }
    }

    @Override
    public void schedule(Runnable task, long delayNanos) {
        ctx.executor().schedule(task, delayNanos, TimeUnit.NANOSECONDS);
    }

    @Override
    public void end(Ending why, String detail) {
        if (why != Ending.ASKED) {
            tree.domains().warn(domain, "store connection closed: " + detail);
        }
        ctx.close();
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        session.end();
        context.fireChannelInactive();
    }

    @Override
    public void handlerRemoved(ChannelHandlerContext context) {
        session.end();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        if (!(cause instanceof IOException)) { // a peer that hangs up is nothing to tell of
            LOG.error("store connection of domain {} closed", domain, cause);
        }
        session.end();
    }
}
