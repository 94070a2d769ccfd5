package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.WriteBufferWaterMark;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

/// A port over one connected stream socket, as QEMU's `-netdev stream` and passt speak it:
///
///     byte 0                4                      4 + length
///          +----------------+----------------------+----------------+--
///          | length, u32 BE | frame, without FCS   | length, u32 BE | ..
///          +----------------+----------------------+----------------+--
///
/// A length of 0 or of more than [#MAX_LENGTH] ends the connection: nobody can say where the next
/// frame begins. The port is attached while the socket is connected. Frames of one batch go out in
/// one buffer. Up to [#QUEUE_BYTES] wait for a peer that does not read, and further ones are
/// refused: about a thousand frames of 1500 bytes, as in the queue of a Linux device. What TCP
/// sends at a time fits there; passt asks for a lost segment only with its timers.
///
/// Source: QEMU `net/stream.c`, `net_socket_rs_init` in `net/net.c` (`NET_BUFSIZE`).
public final class StreamPort extends ChannelInboundHandlerAdapter implements FramePort {
    /// Largest frame of the protocol: QEMU's `NET_BUFSIZE`, 4096 + 65536.
    public static final int MAX_LENGTH = 69_632;

    /// What may wait for the peer beyond what its socket takes, with Netty's 96 bytes for each
    /// buffer.
    static final int QUEUE_BYTES = 3 << 19;

    private static final int LENGTH_BYTES = 4;
    private static final int BATCH_BYTES = 2 * (LENGTH_BYTES + Frame.MAX_BYTES);

    /// Room again after a batch or two, so that a full queue does not cost a burst of frames.
    private static final WriteBufferWaterMark QUEUE =
            new WriteBufferWaterMark(QUEUE_BYTES - 2 * BATCH_BYTES, QUEUE_BYTES);

    private final VirtualNetwork network;
    private final PortSettings settings;
    private final int mtu;
    private final Consumer<String> ended;
    private final InboundFrame inbound = new InboundFrame(MAX_LENGTH);
    private @Nullable Channel channel;
    private @Nullable PortLink link;
    private String end = "the peer has closed the connection";
    private boolean ending; // what still comes in is nobody's

    // The frame that is coming in.
    private int lengthBytes;
    private int length;

    // Frames of this batch that wait for the flush.
    private @Nullable ByteBuf batch;
    private @Nullable MemorySegment batchMemory;
    private int batchBytes;

    /// @param mtu of frames for the peer
    /// @param ended takes the reason when the connection is over
    StreamPort(VirtualNetwork network, PortSettings settings, int mtu, Consumer<String> ended) {
        this.network = network;
        this.settings = settings;
        this.mtu = mtu;
        this.ended = ended;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        if (context.channel().isActive()) {
            connected(context.channel());
        }
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
        connected(context.channel());
    }

    private void connected(Channel now) {
        if (channel != null) {
            return;
        }
        channel = now;
        now.config().setWriteBufferWaterMark(QUEUE);
        try {
            link = network.attach(this, settings, PortCapabilities.plain(mtu));
        } catch (IllegalArgumentException | IllegalStateException e) {
            end(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        channel = null;
        dropBatch();
        PortLink attached = link;
        link = null;
        if (attached != null) {
            attached.detach();
        }
        ended.accept(end);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        end(cause instanceof IOException ? String.valueOf(cause.getMessage()) : cause.toString());
    }

    /// Ends the connection; the first reason is the one.
    private void end(String reason) {
        Channel open = channel;
        if (open != null && !ending) {
            ending = true; // Netty says that it is closed after what is being read
            end = reason;
            var ignored = open.close();
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf bytes = (ByteBuf) message;
        try {
            PortLink to = link;
            while (to != null && bytes.isReadable() && !ending) {
                if (lengthBytes < LENGTH_BYTES) {
                    takeLength(bytes.readUnsignedByte());
                } else {
                    takeFrame(bytes, to);
                }
            }
        } finally {
            bytes.release();
        }
    }

    private void takeLength(int next) {
        length = length << 8 | next;
        lengthBytes++;
        if (lengthBytes == LENGTH_BYTES) {
            if (Integer.compareUnsigned(length - 1, MAX_LENGTH) >= 0) { // also of 0
                end(
                        "length "
                                + Integer.toUnsignedLong(length)
                                + " of a frame is not between 1 and "
                                + MAX_LENGTH);
                return;
            }
            inbound.begin();
        }
    }

    private void takeFrame(ByteBuf bytes, PortLink to) {
        inbound.take(bytes, Math.min(length - inbound.sizeBytes(), bytes.readableBytes()));
        if (inbound.sizeBytes() == length) {
            lengthBytes = 0;
            if (length > Frame.MAX_BYTES) {
                to.drop(PortCounter.IN_DROPPED_OVERSIZE);
            } else {
                to.receive(inbound.frame());
            }
            length = 0;
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        PortLink to = link;
        if (to != null) {
            to.endBatch();
        }
    }

    @Override
    public boolean offer(Frame frame) {
        Channel open = channel;
        int sizeBytes = LENGTH_BYTES + frame.sizeBytes();
        if (open == null || !open.isWritable()) {
            return false;
        }
        if (batch != null && batchBytes + sizeBytes > BATCH_BYTES) {
            write(open);
        }
        MemorySegment memory = batchMemory;
        if (memory == null) {
            ByteBuf made = open.alloc().directBuffer(BATCH_BYTES, BATCH_BYTES);
            batch = made;
            memory = MemorySegment.ofBuffer(made.internalNioBuffer(0, BATCH_BYTES));
            batchMemory = memory;
        }
        ByteBuf into = batch;
        if (into == null) {
            throw new IllegalStateException("memory of no buffer");
        }
        into.setInt(batchBytes, frame.sizeBytes());
        frame.copyTo(memory, batchBytes + LENGTH_BYTES, 0, frame.sizeBytes());
        batchBytes += sizeBytes;
        return true;
    }

    @Override
    public void flush() {
        Channel open = channel;
        if (open != null) {
            write(open);
            open.flush();
        }
    }

    private void write(Channel open) {
        ByteBuf full = batch;
        if (full != null) {
            batch = null;
            batchMemory = null;
            full.writerIndex(batchBytes);
            batchBytes = 0;
            var ignored = open.write(waits(open) ? trimmed(full) : full, open.voidPromise());
        }
    }

    private static boolean waits(Channel open) {
        return open.bytesBeforeUnwritable() <= QUEUE_BYTES;
    }

    /// A small batch that is going to wait: the queue counts what a buffer holds, not its room.
    private static ByteBuf trimmed(ByteBuf full) {
        int sizeBytes = full.readableBytes();
        if (sizeBytes > BATCH_BYTES / 2) {
            return full;
        }
        ByteBuf fitting = full.alloc().directBuffer(sizeBytes, sizeBytes).writeBytes(full);
        full.release();
        return fitting;
    }

    private void dropBatch() {
        ByteBuf left = batch;
        batch = null;
        batchMemory = null;
        batchBytes = 0;
        if (left != null) {
            left.release();
        }
    }

    /// Closes the connection, and takes the port out of the network. On the loop.
    void close() {
        end("closed");
    }
}
