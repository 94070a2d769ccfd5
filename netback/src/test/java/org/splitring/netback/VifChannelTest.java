package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.channel.SimpleChannelInboundHandler;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.netfront.VifChannel;
import org.splitring.netfront.VifFeatures;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendOptions;

/// Two guests in Java: a Netty channel at each end of the network.
@Timeout(60)
class VifChannelTest {
    /// Hands what comes to the test.
    private static final class Inbox extends SimpleChannelInboundHandler<ByteBuf> {
        final BlockingQueue<byte[]> frames = new LinkedBlockingQueue<>();
        final CountDownLatch carrier = new CountDownLatch(1);

        @Override
        protected void channelRead0(ChannelHandlerContext context, ByteBuf frame) {
            frames.add(ByteBufUtil.getBytes(frame));
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event instanceof VifFeatures) {
                carrier.countDown();
            }
        }
    }

    @Test
    void framesGoThroughAsBuffers() throws Exception {
        try (NettyDeviceLoops loops = new NettyDeviceLoops("vif-channel", 1, 0);
                SpinLab lab = new SpinLab(loops.loop(0), loops.loop(0))) {
            NettyDeviceLoop loop = loops.loop(0);
            Inbox inbox = new Inbox();
            VifChannel one = channel(lab, loop, 1, new ChannelInboundHandlerAdapter());
            VifChannel two = channel(lab, loop, 2, inbox);
            assertTrue(inbox.carrier.await(20, TimeUnit.SECONDS));
            for (int size : new int[] {14, 60, 1514}) {
                byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), size);
                writeUntilItArrives(one, inbox, frame);
            }
            // What is no frame fails alone.
            var refused = one.writeAndFlush(Unpooled.buffer(5).writeZero(5)).awaitUninterruptibly();
            assertTrue(refused.cause() instanceof IllegalArgumentException, "" + refused.cause());
            one.close().syncUninterruptibly();
            two.close().syncUninterruptibly();
        }
    }

    /// The other end may not have its carrier yet: frames are lost on the way then.
    private static void writeUntilItArrives(VifChannel from, Inbox to, byte[] frame)
            throws InterruptedException {
        boolean seen = false;
        for (int attempt = 0; attempt < 200 && !seen; attempt++) {
            from.writeAndFlush(Unpooled.copiedBuffer(frame)).awaitUninterruptibly();
            byte[] came = to.frames.poll(100, TimeUnit.MILLISECONDS);
            seen = came != null && Arrays.equals(frame, came); // or an earlier one, sent twice
        }
        assertTrue(seen, "a frame of " + frame.length);
    }

    private static VifChannel channel(
            SpinLab lab, NettyDeviceLoop loop, int domid, ChannelInboundHandlerAdapter handler)
            throws Exception {
        VifChannel channel = new VifChannel("vif of " + domid);
        channel.pipeline().addLast(handler);
        VifFrontend vif =
                VifFrontend.create(loop, channel, VifFrontendOptions.DEFAULT.withoutOffloads());
        channel.vif(vif);
        EventLoop events = loop.eventLoop();
        events.register(channel).syncUninterruptibly();
        lab.guest(domid, vif);
        return channel;
    }
}
