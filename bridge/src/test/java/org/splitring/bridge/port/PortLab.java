package org.splitring.bridge.port;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import io.netty.channel.EventLoop;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.splitring.bridge.JavaPort;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;

/// A switch with one port for the test, `test`, and whatever ports it is about.
final class PortLab implements AutoCloseable {
    static final long TEST_MAC = 0x0200_0000_0001L;
    static final long PEER_MAC = 0x0200_0000_0002L;
    static final long BROADCAST = 0xFFFF_FFFF_FFFFL;

    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    final EventLoop loop = group.next();
    final VirtualNetwork network =
            new VirtualNetwork(
                    "lan", loop, System::nanoTime, new LearningSwitch(SwitchSettings.DEFAULT));
    final BlockingQueue<byte[]> received = new LinkedBlockingQueue<>();
    final JavaPort test;

    PortLab() throws Exception {
        test =
                onLoop(
                        () ->
                                JavaPort.attach(
                                        network,
                                        PortSettings.of("test"),
                                        PortCapabilities.plain(1500),
                                        (frame, checksum) -> received.add(frame)));
    }

    <T> T onLoop(Callable<T> task) throws Exception {
        return loop.submit(task).get(10, TimeUnit.SECONDS);
    }

    List<String> ports() throws Exception {
        return onLoop(
                () -> {
                    List<String> names = new ArrayList<>();
                    network.ports().forEach(link -> names.add(link.settings().name()));
                    return names;
                });
    }

    void awaitPorts(String... names) {
        Awaitility.await()
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .until(() -> ports().equals(List.of(names)));
    }

    long count(String port, PortCounter counter) throws Exception {
        return onLoop(
                () ->
                        network.ports().stream()
                                .filter(link -> link.settings().name().equals(port))
                                .map(PortLink::counters)
                                .mapToLong(counters -> counters.get(counter))
                                .sum());
    }

    void awaitCount(String port, PortCounter counter, long value) {
        Awaitility.await()
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .until(() -> count(port, counter) == value);
    }

    /// A frame of the local experimental type, its payload counted up from `seed`.
    static byte[] frame(long to, long from, int sizeBytes, int seed) {
        ByteBuffer frame = ByteBuffer.allocate(sizeBytes);
        frame.putShort((short) (to >>> 32)).putInt((int) to);
        frame.putShort((short) (from >>> 32)).putInt((int) from);
        frame.putShort((short) 0x88B5);
        for (int i = 0; frame.hasRemaining(); i++) {
            frame.put((byte) (seed + i));
        }
        return frame.array();
    }

    void expect(byte[] frame) throws InterruptedException {
        byte[] next = received.poll(10, TimeUnit.SECONDS);
        assertNotNull(next, "no frame within 10 seconds");
        assertArrayEquals(frame, next);
    }

    /// A peer of the stream protocol.
    static final class Peer implements AutoCloseable {
        final SocketChannel channel;

        Peer(SocketChannel channel) {
            this.channel = channel;
        }

        static Peer connect(SocketAddress address) throws IOException {
            return new Peer(SocketChannel.open(address));
        }

        static Peer connect(Path path) throws IOException {
            return connect(UnixDomainSocketAddress.of(path));
        }

        void send(byte[] frame) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(4 + frame.length);
            bytes.putInt(frame.length).put(frame).flip();
            write(bytes);
        }

        void sendLength(int length) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(4);
            bytes.putInt(length).flip();
            write(bytes);
        }

        void write(ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }

        byte[] receive() throws IOException {
            return read(read(4).getInt()).array();
        }

        private ByteBuffer read(int length) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(length);
            while (bytes.hasRemaining()) {
                if (channel.read(bytes) < 0) {
                    throw new EOFException();
                }
            }
            return bytes.flip();
        }

        /// Whether the other side has ended the connection; waits for it.
        boolean isEnded() {
            try {
                return channel.read(ByteBuffer.allocate(1)) < 0;
            } catch (IOException e) {
                return true;
            }
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    @Override
    public void close() {
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
    }
}
