package org.splitring.bridge.port;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.bridge.port.PortLab.BROADCAST;
import static org.splitring.bridge.port.PortLab.PEER_MAC;
import static org.splitring.bridge.port.PortLab.TEST_MAC;
import static org.splitring.bridge.port.PortLab.frame;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.ByteBufAllocatorMetricProvider;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.port.PortLab.Peer;

class StreamPortTest {
    @TempDir Path folder;

    @Test
    void framesGoBothWaysHoweverTheStreamCutsThem() throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts ports = listen(lab);
                Peer peer = Peer.connect(socket())) {
            lab.awaitPorts("test", "vm.0");
            byte[] first = frame(BROADCAST, PEER_MAC, 60, 1);
            ByteBuffer bytes = ByteBuffer.allocate(4 + 60);
            bytes.putInt(60).put(first).flip();
            while (bytes.hasRemaining()) {
                peer.write(ByteBuffer.wrap(new byte[] {bytes.get()}));
            }
            lab.expect(first);

            ByteBuffer two = ByteBuffer.allocate(2 * (4 + 1514));
            two.putInt(1514).put(frame(TEST_MAC, PEER_MAC, 1514, 2));
            two.putInt(1514).put(frame(TEST_MAC, PEER_MAC, 1514, 3)).flip();
            peer.write(two);
            lab.expect(frame(TEST_MAC, PEER_MAC, 1514, 2));
            lab.expect(frame(TEST_MAC, PEER_MAC, 1514, 3));

            for (int size : new int[] {14, 60, 1514}) {
                lab.test.send(frame(PEER_MAC, TEST_MAC, size, size));
            }
            for (int size : new int[] {14, 60, 1514}) {
                assertArrayEquals(frame(PEER_MAC, TEST_MAC, size, size), peer.receive());
            }
            assertTrue(ports.isListening());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, StreamPort.MAX_LENGTH + 1, 1 << 31, -1})
    void lengthThatCannotBeClosesThatPortAndNoOther(int length) throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts ports = listen(lab);
                Peer honest = Peer.connect(socket())) {
            lab.awaitPorts("test", "vm.0");
            try (Peer bad = Peer.connect(socket())) {
                lab.awaitPorts("test", "vm.0", "vm.1");
                bad.sendLength(length);
                assertTrue(bad.isEnded());
                lab.awaitPorts("test", "vm.0");
            }
            honest.send(frame(BROADCAST, PEER_MAC, 60, 4));
            lab.expect(frame(BROADCAST, PEER_MAC, 60, 4));
            assertTrue(ports.isListening());
        }
    }

    /// Bytes behind it are neither frames nor lengths, and what ended the connection stays the
    /// reason.
    @ParameterizedTest
    @ValueSource(ints = {0, StreamPort.MAX_LENGTH + 1, 1 << 31, -1})
    void nothingBehindALengthThatCannotBeIsRead(int length) throws Exception {
        BlockingQueue<String> reasons = new LinkedBlockingQueue<>();
        try (PortLab lab = new PortLab();
                var door = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            door.bind(UnixDomainSocketAddress.of(socket()));
            new Bootstrap()
                    .group(lab.loop)
                    .channel(EpollDomainSocketChannel.class)
                    .handler(new StreamPort(lab.network, PortSettings.of("vm"), 1500, reasons::add))
                    .connect(new DomainSocketAddress(socket().toString()))
                    .sync();
            try (Peer bad = new Peer(door.accept())) {
                lab.awaitPorts("test", "vm");
                byte[] frame = frame(BROADCAST, PEER_MAC, 60, 4);
                ByteBuffer bytes = ByteBuffer.allocate(1000);
                bytes.putInt(60).put(frame).putInt(length).putInt(60).put(frame);
                bad.write(bytes.rewind());
                lab.expect(frame);
                assertEquals(
                        "length %d of a frame is not between 1 and 69632"
                                .formatted(Integer.toUnsignedLong(length)),
                        reasons.poll(10, TimeUnit.SECONDS));
                lab.awaitPorts("test");
                assertEquals(0, lab.received.size());
                assertEquals(0, reasons.size());
            }
        }
    }

    @Test
    void largestLengthIsReadAndWhatNoNetworkCanTakeIsDropped() throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts ports = listen(lab);
                Peer peer = Peer.connect(socket())) {
            lab.awaitPorts("test", "vm.0");
            peer.send(frame(BROADCAST, PEER_MAC, StreamPort.MAX_LENGTH, 5));
            lab.awaitCount("vm.0", PortCounter.IN_DROPPED_OVERSIZE, 1);
            peer.send(new byte[1]);
            lab.awaitCount("vm.0", PortCounter.IN_DROPPED_RUNT, 1);
            peer.send(frame(BROADCAST, PEER_MAC, 60, 7));
            lab.expect(frame(BROADCAST, PEER_MAC, 60, 7));
            assertTrue(ports.isListening());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {60, 1514})
    void peerThatDoesNotReadLosesFramesAndNobodyElseDoes(int frameBytes) throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts ports = listen(lab);
                Peer lazy = Peer.connect(socket());
                Peer eager = Peer.connect(socket())) {
            lab.awaitPorts("test", "vm.0", "vm.1");
            int sent = 0;
            long before = usedBytes();
            while (lab.count("vm.0", PortCounter.OUT_DROPPED_FULL) == 0) {
                lab.test.send(frame(BROADCAST, TEST_MAC, frameBytes, sent));
                assertArrayEquals(frame(BROADCAST, TEST_MAC, frameBytes, sent), eager.receive());
                sent++;
                assertTrue(sent < 100_000, "there is no bound");
            }
            long taken = lab.count("vm.0", PortCounter.OUT_FRAMES);
            assertEquals(0, lab.count("vm.1", PortCounter.OUT_DROPPED_FULL));
            // Each frame was a batch of its own: 96 bytes of Netty's go with it.
            assertTrue(taken * (frameBytes + 100) > StreamPort.QUEUE_BYTES, taken + " frames");
            long used = usedBytes() - before;
            assertTrue(used < 16 << 20, used + " bytes for " + taken + " frames");
            for (int i = 0; i < taken; i++) {
                assertArrayEquals(frame(BROADCAST, TEST_MAC, frameBytes, i), lazy.receive());
            }
            assertTrue(ports.isListening());
        }
    }

    @Test
    void clientConnectsAgainWhenItsPeerComesBack() throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts client =
                        StreamPorts.connect(
                                lab.network,
                                PortSettings.of("uplink"),
                                1500,
                                lab.loop,
                                new DomainSocketAddress(socket().toFile()))) {
            for (int round = 0; round < 2; round++) {
                try (ServerSocketChannel server =
                        ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
                    server.bind(UnixDomainSocketAddress.of(socket()));
                    try (Peer peer = new Peer(server.accept())) {
                        lab.awaitPorts("test", "uplink");
                        peer.send(frame(BROADCAST, PEER_MAC, 60, round));
                        lab.expect(frame(BROADCAST, PEER_MAC, 60, round));
                        lab.test.send(frame(PEER_MAC, TEST_MAC, 60, round));
                        assertArrayEquals(frame(PEER_MAC, TEST_MAC, 60, round), peer.receive());
                    }
                }
                Files.delete(socket());
                lab.awaitPorts("test");
            }
            assertFalse(client.isListening());
        }
    }

    @Test
    void closingUnplugsEveryPort() throws Exception {
        try (PortLab lab = new PortLab()) {
            StreamPorts ports = listen(lab);
            try (Peer peer = Peer.connect(socket())) {
                lab.awaitPorts("test", "vm.0");
                ports.close();
                assertTrue(peer.isEnded());
                lab.awaitPorts("test");
                assertThrows(IOException.class, () -> Peer.connect(socket()));
            }
        }
    }

    @Test
    void portInUseIsOneMessageWithItsNumber() throws Exception {
        try (PortLab lab = new PortLab();
                ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            InetSocketAddress address =
                    new InetSocketAddress(InetAddress.getLoopbackAddress(), taken.getLocalPort());
            IOException refused =
                    assertThrows(
                            IOException.class,
                            () ->
                                    StreamPorts.listen(
                                            lab.network,
                                            PortSettings.of("vm"),
                                            1500,
                                            lab.loop,
                                            address));
            String message = String.valueOf(refused.getMessage());
            assertTrue(
                    message.startsWith("port vm: cannot listen on")
                            && message.contains(":" + taken.getLocalPort())
                            && message.contains("in use"),
                    message);
        }
    }

    @Test
    void aPathThatIsInUseOrNoSocketIsRefusedAndLeftAlone() throws Exception {
        try (PortLab lab = new PortLab();
                StreamPorts ports = listen(lab)) {
            IOException inUse = assertThrows(IOException.class, () -> listen(lab));
            assertTrue(
                    String.valueOf(inUse.getMessage()).endsWith("vm.sock is in use"),
                    inUse.getMessage());
            try (Peer peer = Peer.connect(socket())) {
                peer.send(frame(BROADCAST, PEER_MAC, 60, 8));
                lab.expect(frame(BROADCAST, PEER_MAC, 60, 8));
            }
            assertTrue(ports.isListening());
        }
        Files.deleteIfExists(socket());
        Files.writeString(socket(), "precious");
        try (PortLab lab = new PortLab()) {
            assertThrows(IOException.class, () -> listen(lab));
        }
        assertEquals("precious", Files.readString(socket()));
    }

    @Test
    void onlyLoopbackAndUnixSocketsAreOffered() throws Exception {
        try (PortLab lab = new PortLab()) {
            InetSocketAddress everywhere = new InetSocketAddress("0.0.0.0", 0);
            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            StreamPorts.listen(
                                    lab.network,
                                    PortSettings.of("vm"),
                                    1500,
                                    lab.loop,
                                    everywhere));
        }
    }

    private static long usedBytes() {
        return ((ByteBufAllocatorMetricProvider) ByteBufAllocator.DEFAULT)
                .metric()
                .usedDirectMemory();
    }

    private Path socket() {
        return folder.resolve("vm.sock");
    }

    private StreamPorts listen(PortLab lab) throws IOException {
        return StreamPorts.listen(
                lab.network,
                PortSettings.of("vm"),
                1500,
                lab.loop,
                new DomainSocketAddress(socket().toFile()));
    }
}
