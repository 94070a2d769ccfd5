package org.splitring.netfront;

import io.netty.buffer.ByteBuf;
import io.netty.channel.AbstractChannel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelMetadata;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.ChannelPromise;
import io.netty.channel.DefaultChannelConfig;
import io.netty.channel.EventLoop;
import io.netty.util.ReferenceCountUtil;
import java.lang.foreign.MemorySegment;
import java.net.SocketAddress;
import java.nio.channels.ClosedChannelException;
import org.jspecify.annotations.Nullable;

/// A vif as a Netty channel: each message, both ways, is a [ByteBuf] with one Ethernet frame.
///
/// It is the [VifUser] of a vif: make it, make the vif with [#vif], and register it with an event
/// loop whose thread is the one of the vif's loop. It stays open when the carrier goes, and what is
/// written without one fails; [VifFeatures] come as a user event with each carrier.
///
/// Frames are complete, with a checksum that the sender vouches for; the vif's options are those
/// of [VifFrontendOptions#withoutOffloads]. Each frame is copied once between its buffer and the
/// pages. A frame that finds no room stays in the outbound buffer, so that
/// [#isWritable] says what it says elsewhere.
public final class VifChannel extends AbstractChannel implements VifUser {
    private static final ChannelMetadata METADATA = new ChannelMetadata(false);

    private final ChannelConfig config = new DefaultChannelConfig(this);
    private final VifAddress address;
    private @Nullable VifFrontend vif;
    private boolean open = true;
    private boolean carrier;
    private boolean readWanted;

    /// What a channel of a vif is connected to: its name, for people.
    public static final class VifAddress extends SocketAddress {
        private static final long serialVersionUID = 1L;
        private final String name;

        VifAddress(String name) {
            this.name = name;
        }

        @Override
        public String toString() {
            return name;
        }
    }

    /// @param name for people: `vif 0`
    public VifChannel(String name) {
        super(null);
        address = new VifAddress(name);
    }

    /// Says which vif it is for, once, before it is registered.
    public void vif(VifFrontend frontend) {
        vif = frontend;
    }

    private VifFrontend vif() {
        VifFrontend frontend = vif;
        if (frontend == null) {
            throw new IllegalStateException("no vif was given to channel " + address);
        }
        return frontend;
    }

    @Override
    public void carrierOn(VifFeatures features) {
        carrier = true;
        if (isRegistered()) {
            pipeline().fireUserEventTriggered(features);
            unsafe().flush();
        }
    }

    @Override
    public void carrierOff() {
        carrier = false;
    }

    @Override
    public void received(ReceivedFrame frame) {
        if ((!readWanted && !config.isAutoRead()) || !isRegistered() || !open) {
            return; // nobody asks: lost, as on a wire
        }
        int size = frame.sizeBytes();
        ByteBuf buffer = alloc().directBuffer(size);
        frame.copyTo(MemorySegment.ofBuffer(buffer.internalNioBuffer(0, size)), 0, 0, size);
        buffer.writerIndex(size);
        pipeline().fireChannelRead(buffer);
    }

    @Override
    public void batchEnd() {
        if (isRegistered()) {
            readWanted = false;
            pipeline().fireChannelReadComplete();
        }
    }

    @Override
    public void writable(int queue) {
        if (isRegistered()) {
            unsafe().flush();
        }
    }

    @Override
    protected void doWrite(ChannelOutboundBuffer in) throws Exception {
        if (!carrier) {
            while (in.current() != null) {
                in.remove(new ClosedChannelException());
            }
            return;
        }
        for (Object message = in.current(); message != null; message = in.current()) {
            ByteBuf buffer = (ByteBuf) message;
            int size = buffer.readableBytes();
            TxFrame frame = vif().acquire(0, size);
            if (frame == null) {
                break; // writable() comes back
            }
            try {
                frame.append(
                        MemorySegment.ofBuffer(buffer.nioBuffer(buffer.readerIndex(), size)),
                        0,
                        size);
                frame.checksum(FrameChecksum.COMPLETE);
                frame.send();
                in.remove();
            } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
                frame.cancel();
                in.remove(e); // no frame
            }
        }
        vif().flush();
    }

    @Override
    protected Object filterOutboundMessage(Object message) {
        if (message instanceof ByteBuf) {
            return message;
        }
        ReferenceCountUtil.release(message);
        throw new UnsupportedOperationException(
                "a frame is a ByteBuf, not a " + message.getClass().getName());
    }

    @Override
    protected void doBeginRead() {
        readWanted = true;
    }

    @Override
    protected AbstractUnsafe newUnsafe() {
        return new AbstractUnsafe() {
            @Override
            public void connect(
                    SocketAddress remote, @Nullable SocketAddress local, ChannelPromise promise) {
                promise.setFailure(new UnsupportedOperationException("a vif is connected already"));
            }
        };
    }

    @Override
    protected boolean isCompatible(EventLoop loop) {
        return true; // doRegister looks at the thread
    }

    @Override
    protected void doRegister(ChannelPromise promise) {
        if (vif().loop().inLoop()) {
            promise.setSuccess();
        } else {
            promise.setFailure(
                    new IllegalStateException(
                            "channel "
                                    + address
                                    + " must be registered with the event loop of its vif"));
        }
    }

    @Override
    protected SocketAddress localAddress0() {
        return address;
    }

    @Override
    protected SocketAddress remoteAddress0() {
        return address;
    }

    @Override
    protected void doBind(SocketAddress localAddress) {
        throw new UnsupportedOperationException("a vif is not bound");
    }

    @Override
    protected void doDisconnect() {
        doClose();
    }

    @Override
    protected void doClose() {
        open = false;
    }

    @Override
    public ChannelConfig config() {
        return config;
    }

    @Override
    public boolean isOpen() {
        return open;
    }

    @Override
    public boolean isActive() {
        return open;
    }

    @Override
    public ChannelMetadata metadata() {
        return METADATA;
    }
}
