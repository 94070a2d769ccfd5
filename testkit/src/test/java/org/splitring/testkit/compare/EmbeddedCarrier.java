package org.splitring.testkit.compare;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandler;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.splitring.testkit.RawStoreClient;

/// Carries bytes to a handler in this thread, so that what our server does has one order.
final class EmbeddedCarrier implements RawStoreClient.Carrier {
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final EmbeddedChannel channel;
    private ByteBuf received = Unpooled.EMPTY_BUFFER;

    EmbeddedCarrier(ChannelHandler handler) {
        this.channel = new EmbeddedChannel(handler);
    }

    @Override
    public void send(ByteBuffer bytes) {
        channel.runPendingTasks();
        channel.writeInbound(Unpooled.copiedBuffer(bytes));
        bytes.position(bytes.limit());
        channel.runPendingTasks();
    }

    @Override
    public void receive(ByteBuffer into) throws IOException {
        while (into.hasRemaining()) {
            if (!received.isReadable()) {
                received.release();
                received = Unpooled.EMPTY_BUFFER;
                received = next();
                continue;
            }
            int count = Math.min(into.remaining(), received.readableBytes());
            received.readBytes(into.slice(into.position(), count));
            into.position(into.position() + count);
        }
    }

    /// What the server sends next. It may let a guest wait a little.
    private ByteBuf next() throws IOException {
        long start = System.nanoTime();
        while (System.nanoTime() - start < PATIENCE_NANOS) {
            ByteBuf next = channel.readOutbound();
            if (next != null) {
                return next;
            }
            channel.runScheduledPendingTasks();
            channel.runPendingTasks();
        }
        throw new IOException("our server does not answer");
    }

    @Override
    public void close() {
        received.release();
        received = Unpooled.EMPTY_BUFFER;
        channel.finishAndReleaseAll();
    }
}
