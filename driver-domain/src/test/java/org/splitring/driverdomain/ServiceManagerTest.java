package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainDatagramChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainDatagramPacket;
import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What a service manager is told.
@Timeout(30)
class ServiceManagerTest {
    @TempDir Path dir;

    /// Keeps what comes.
    private static final class Hearing extends SimpleChannelInboundHandler<DomainDatagramPacket> {
        private final BlockingQueue<String> heard;

        Hearing(BlockingQueue<String> heard) {
            this.heard = heard;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, DomainDatagramPacket packet) {
            heard.add(packet.content().toString(UTF_8));
        }
    }

    @Test
    void itHearsWhatItIsToldAndNobodyThereIsNoHarm() throws Exception {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        String path = dir.resolve("notify").toString();
        String nameless = "splitring-test-" + ProcessHandle.current().pid();
        EventLoopGroup loop = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
        try {
            Bootstrap manager =
                    new Bootstrap()
                            .group(loop)
                            .channel(EpollDomainDatagramChannel.class)
                            .handler(
                                    new ChannelInitializer<>() {
                                        @Override
                                        protected void initChannel(Channel channel) {
                                            channel.pipeline().addLast(new Hearing(heard));
                                        }
                                    });
            ServiceManager.send(path, "nobody");
            manager.bind(new DomainSocketAddress(path)).sync();
            ServiceManager.send(path, "READY=1");
            assertEquals("READY=1", heard.poll(10, TimeUnit.SECONDS));
            manager.bind(new DomainSocketAddress("\0" + nameless)).sync();
            ServiceManager.send("@" + nameless, "READY=2");
            assertEquals("READY=2", heard.poll(10, TimeUnit.SECONDS));
        } finally {
            loop.shutdownGracefully(0, 5, TimeUnit.SECONDS).sync();
        }
    }
}
