package org.splitring.driverdomain.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;
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
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;

/// A switch with one port for the test, `test`, and whatever ports it is about; and the peers of
/// those.
final class PortLab implements AutoCloseable {
    static final long TEST_MAC = 0x0200_0000_0001L;
    static final long PEER_MAC = 0x0200_0000_0002L;
    static final long BROADCAST = 0xFFFF_FFFF_FFFFL;

    private final NettyDeviceLoops loops = new NettyDeviceLoops("lab", 1, 0);
    final NettyDeviceLoop loop = loops.loop(0);
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
                                        PortCapabilities.plain(PortCapabilities.MAX_MTU),
                                        (frame, checksum) -> received.add(frame)));
    }

    <T> T onLoop(Callable<T> task) throws Exception {
        return loop.eventLoop().submit(task).get(10, TimeUnit.SECONDS);
    }

    List<String> ports() throws Exception {
        return onLoop(() -> network.ports().stream().map(link -> link.settings().name()).toList());
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

    static DatagramSocket onLoopback() throws IOException {
        return at("127.0.0.1");
    }

    static DatagramSocket at(String address) throws IOException {
        DatagramSocket socket = new DatagramSocket(0, InetAddress.ofLiteral(address));
        socket.setSoTimeout(10_000);
        return socket;
    }

    static InetSocketAddress address(DatagramSocket socket) {
        return new InetSocketAddress(socket.getLocalAddress(), socket.getLocalPort());
    }

    static InetSocketAddress freePort() throws IOException {
        return freePort("127.0.0.1");
    }

    static InetSocketAddress freePort(String address) throws IOException {
        try (DatagramSocket probe = at(address)) {
            return address(probe);
        }
    }

    static void send(DatagramSocket from, InetSocketAddress to, byte[] bytes) throws IOException {
        from.send(new DatagramPacket(bytes, bytes.length, to));
    }

    static byte[] receive(DatagramSocket socket) throws IOException {
        DatagramPacket packet = new DatagramPacket(new byte[65_536], 65_536);
        socket.receive(packet);
        return Arrays.copyOf(packet.getData(), packet.getLength());
    }

    @Override
    public void close() {
        loops.close();
    }
}
