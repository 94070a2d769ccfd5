package org.splitring.driverdomain.control;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A connection that listens to an [EventSource]. What does not fit into its buffer is dropped and
/// counted, so a slow listener costs no memory.
final class EventConnection implements EventSource.Listener {
    private static final Logger LOG = LoggerFactory.getLogger(EventConnection.class);
    private static final int STILL_HERE_SECONDS = 15;

    /// Events on their way to the loop; what the loop has written waits in the channel.
    private static final int MAX_ON_THE_WAY = 256;

    private final ChannelHandlerContext context;
    private final AtomicLong missed = new AtomicLong();
    private final AtomicInteger onTheWay = new AtomicInteger();
    private @Nullable AutoCloseable source; // the loop's
    private @Nullable Future<?> stillHere; // the loop's

    EventConnection(ChannelHandlerContext context) {
        this.context = context;
    }

    /// Begins. On the loop.
    ///
    /// @param head is sent before everything else
    void open(EventSource from, HttpResponse head) throws ControlException {
        source = from.open(this); // what it sends at once is queued on the loop, behind the head
        var ignored = context.writeAndFlush(head, context.voidPromise());
        stillHere =
                context.executor()
                        .scheduleAtFixedRate(
                                () -> write(": still here\n\n"),
                                STILL_HERE_SECONDS,
                                STILL_HERE_SECONDS,
                                TimeUnit.SECONDS);
    }

    @Override
    public void send(String type, String data) {
        if (!context.channel().isWritable() || onTheWay.get() >= MAX_ON_THE_WAY) {
            missed.incrementAndGet();
            return;
        }
        String text = "event: " + type + "\ndata: " + data + "\n\n";
        onTheWay.incrementAndGet();
        context.executor()
                .execute(
                        () -> {
                            onTheWay.decrementAndGet();
                            sayMissed();
                            write(text);
                        });
    }

    @Override
    public void end() {
        context.executor()
                .execute(
                        () ->
                                context.writeAndFlush(LastHttpContent.EMPTY_LAST_CONTENT)
                                        .addListener(ChannelFutureListener.CLOSE));
    }

    private void write(String text) {
        var ignored =
                context.writeAndFlush(
                        new DefaultHttpContent(Unpooled.copiedBuffer(text, UTF_8)),
                        context.voidPromise());
    }

    /// There may be room again. On the loop.
    void writable() {
        if (context.channel().isWritable()) {
            sayMissed();
        }
    }

    private void sayMissed() {
        long count = missed.getAndSet(0);
        if (count > 0) {
            write("event: missed\ndata: {\"events\":" + count + "}\n\n");
        }
    }

    /// The listener has gone. On the loop.
    void close() {
        if (stillHere != null) {
            stillHere.cancel(false);
        }
        AutoCloseable ending = source;
        source = null;
        if (ending != null) {
            try {
                ending.close();
            } catch (Exception e) {
                LOG.warn("a source of events cannot be closed", e);
            }
        }
    }
}
