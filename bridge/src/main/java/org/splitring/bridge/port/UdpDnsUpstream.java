package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.EventLoop;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDatagramChannel;
import io.netty.channel.socket.DatagramPacket;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.DnsUpstream;

/// Asks resolvers over UDP, one after the other until one answers (RFC 1035, RFC 5452).
///
/// An answer counts when it comes from the resolver that was asked, with the id that was drawn for
/// this question, and repeats the question. Bounded: so many questions are under way.
public final class UdpDnsUpstream extends SimpleChannelInboundHandler<DatagramPacket>
        implements DnsUpstream, AutoCloseable {
    /// Most questions that are under way.
    public static final int MAX_PENDING = 1024;

    /// Most resolvers that are asked for one question.
    public static final int MAX_SERVERS = 3;

    private static final int HEADER_BYTES = 12;
    private static final byte[] NOTHING = {};

    private final EventLoop loop;
    private final List<InetSocketAddress> servers;
    private final long timeoutMillis;
    private final SecureRandom random = new SecureRandom();
    private final Map<Integer, Pending> pending = new HashMap<>();
    private @Nullable Channel channel;

    /// A question that is under way.
    private static final class Pending {
        final byte[] query;
        final Answer answer;
        int server;
        @Nullable ScheduledFuture<?> timeout;

        Pending(byte[] query, Answer answer) {
            this.query = query;
            this.answer = answer;
        }
    }

    private UdpDnsUpstream(EventLoop loop, List<InetSocketAddress> servers, long timeoutMillis) {
        this.loop = loop;
        this.servers = List.copyOf(servers);
        this.timeoutMillis = timeoutMillis;
    }

    /// Opens the socket.
    ///
    /// @param loop the network's; not called from it
    /// @param servers resolvers in the order in which they are asked, 1 to [#MAX_SERVERS]
    /// @param timeoutMillis how long each is waited for
    /// @throws IOException when no socket can be had
    public static UdpDnsUpstream open(
            EventLoop loop, List<InetSocketAddress> servers, long timeoutMillis)
            throws IOException {
        if (servers.isEmpty()
                || servers.size() > MAX_SERVERS
                || servers.stream().anyMatch(InetSocketAddress::isUnresolved)
                || timeoutMillis < 1) {
            throw new IllegalArgumentException(
                    "DNS servers " + servers + ", each for " + timeoutMillis + " ms");
        }
        UdpDnsUpstream upstream = new UdpDnsUpstream(loop, servers, timeoutMillis);
        InetAddress any =
                servers.stream().allMatch(s -> s.getAddress().getAddress().length == 4)
                        ? InetAddress.ofLiteral("0.0.0.0")
                        : InetAddress.ofLiteral("::");
        ChannelFuture bound =
                new Bootstrap()
                        .group(loop)
                        .channel(EpollDatagramChannel.class)
                        .handler(upstream)
                        .bind(new InetSocketAddress(any, 0))
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException("no socket to DNS servers " + servers, bound.cause());
        }
        upstream.channel = bound.channel();
        return upstream;
    }

    @Override
    public boolean ask(byte[] query, Answer answer) {
        if (pending.size() >= MAX_PENDING || query.length < HEADER_BYTES || channel == null) {
            return false;
        }
        int id;
        do {
            id = random.nextInt(1 << 16);
        } while (pending.containsKey(id));
        Pending asked = new Pending(query, answer);
        pending.put(id, asked);
        send(id, asked);
        return true;
    }

    private void send(int id, Pending asked) {
        Channel out = channel;
        if (out != null) {
            ByteBuf message = Unpooled.copiedBuffer(asked.query).setShort(0, id);
            // What the socket refuses is lost, as a datagram on the way may be.
            var _ = out.writeAndFlush(new DatagramPacket(message, servers.get(asked.server)));
        }
        asked.timeout =
                loop.schedule(() -> timedOut(id, asked), timeoutMillis, TimeUnit.MILLISECONDS);
    }

    private void timedOut(int id, Pending asked) {
        asked.server++;
        if (asked.server < servers.size()) {
            send(id, asked);
        } else if (pending.remove(id, asked)) {
            asked.answer.answered(NOTHING);
        }
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, DatagramPacket packet) {
        ByteBuf content = packet.content();
        if (content.readableBytes() < HEADER_BYTES) {
            return;
        }
        int id = content.getUnsignedShort(content.readerIndex());
        Pending asked = pending.get(id);
        if (asked == null
                || !packet.sender().equals(servers.get(asked.server))
                || !answers(asked.query, content)) {
            return;
        }
        pending.remove(id);
        if (asked.timeout != null) {
            asked.timeout.cancel(false);
        }
        asked.answer.answered(ByteBufUtil.getBytes(content));
    }

    /// Whether a message is a response to that very question, letter for letter.
    private static boolean answers(byte[] query, ByteBuf message) {
        int at = message.readerIndex();
        int end = HEADER_BYTES;
        while (end < query.length && query[end] != 0) {
            end += (query[end] & 0xFF) + 1;
        }
        end += 5; // the root's empty label, type, class
        return message.getByte(at + 2) < 0
                && message.getUnsignedShort(at + 4) == 1
                && end <= query.length
                && message.readableBytes() >= end
                && ByteBufUtil.equals(
                        Unpooled.wrappedBuffer(query),
                        HEADER_BYTES,
                        message,
                        at + HEADER_BYTES,
                        end - HEADER_BYTES);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        // An ICMP error about an earlier datagram: its question times out.
    }

    /// Closes the socket; what is under way fails. Any thread.
    @Override
    public void close() {
        loop.execute(
                () -> {
                    Channel open = channel;
                    channel = null;
                    if (open != null) {
                        var _ = open.close();
                    }
                    for (Pending each : List.copyOf(pending.values())) {
                        if (each.timeout != null) {
                            each.timeout.cancel(false);
                        }
                        each.answer.answered(NOTHING);
                    }
                    pending.clear();
                });
    }
}
