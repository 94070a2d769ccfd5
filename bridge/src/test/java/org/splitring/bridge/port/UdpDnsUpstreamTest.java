package org.splitring.bridge.port;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.netty.channel.EventLoop;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Questions to resolvers, played by sockets on loopback.
@Timeout(60)
class UdpDnsUpstreamTest {
    private static final byte[] QUERY = {
        0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 1, 0, 1
    };

    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final EventLoop loop = group.next();
    private final DatagramSocket first = socket();
    private final DatagramSocket second = socket();
    private final BlockingQueue<byte[]> answers = new ArrayBlockingQueue<>(4096);

    private static DatagramSocket socket() {
        try {
            return new DatagramSocket(0, InetAddress.getLoopbackAddress());
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @AfterEach
    void close() {
        first.close();
        second.close();
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
    }

    private UdpDnsUpstream open(long timeoutMillis) throws IOException {
        return UdpDnsUpstream.open(
                loop,
                List.of(
                        (InetSocketAddress) first.getLocalSocketAddress(),
                        (InetSocketAddress) second.getLocalSocketAddress()),
                timeoutMillis);
    }

    private boolean ask(UdpDnsUpstream upstream) throws Exception {
        return loop.submit(() -> upstream.ask(QUERY, answers::add)).get();
    }

    private static DatagramPacket receive(DatagramSocket at) throws IOException {
        DatagramPacket packet = new DatagramPacket(new byte[512], 512);
        at.receive(packet);
        return packet;
    }

    private static byte[] response(DatagramPacket query) {
        byte[] response = Arrays.copyOf(query.getData(), query.getLength());
        response[2] = (byte) 0x81;
        return response;
    }

    private static void send(DatagramSocket from, byte[] bytes, DatagramPacket to)
            throws IOException {
        from.send(new DatagramPacket(bytes, bytes.length, to.getSocketAddress()));
    }

    @Test
    void onlyTheAnswerOfTheResolverThatWasAskedToThatQuestionCounts() throws Exception {
        try (UdpDnsUpstream upstream = open(20_000)) {
            ask(upstream);
            DatagramPacket query = receive(first);
            byte[] right = response(query);
            byte[] otherId = right.clone();
            otherId[1] ^= 1;
            byte[] otherName = right.clone();
            otherName[13] = 'x';
            byte[] question = right.clone();
            question[2] = 1;
            send(second, right, query);
            send(first, otherId, query);
            send(first, otherName, query);
            send(first, question, query);
            send(first, Arrays.copyOf(right, 11), query);
            byte[] marked = Arrays.copyOf(right, right.length + 4);
            send(first, marked, query);
            assertArrayEquals(marked, answers.poll(10, TimeUnit.SECONDS));
            send(first, right, query);
            ask(upstream);
            send(first, response(receive(first)), query);
            answers.poll(10, TimeUnit.SECONDS);
            assertEquals(0, answers.size(), "each question has one answer");
        }
    }

    @Test
    void aSilentResolverIsFollowedByTheNextAndThenByNothing() throws Exception {
        try (UdpDnsUpstream upstream = open(200)) {
            ask(upstream);
            receive(first);
            DatagramPacket query = receive(second);
            send(second, response(query), query);
            assertEquals(QUERY.length, answers.take().length);
            ask(upstream);
            assertEquals(0, answers.take().length);
        }
    }

    @Test
    void n46_questionsUnderWayAreBoundedAndEndWithTheSocket() throws Exception {
        UdpDnsUpstream upstream = open(60_000);
        for (int i = 0; i < UdpDnsUpstream.MAX_PENDING; i++) {
            ask(upstream);
        }
        assertFalse(ask(upstream));
        upstream.close();
        for (int i = 0; i < UdpDnsUpstream.MAX_PENDING; i++) {
            assertEquals(0, answers.take().length);
        }
        assertFalse(ask(upstream));
    }
}
