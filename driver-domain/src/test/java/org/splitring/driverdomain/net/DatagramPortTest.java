package org.splitring.driverdomain.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.net.PortLab.BROADCAST;
import static org.splitring.driverdomain.net.PortLab.PEER_MAC;
import static org.splitring.driverdomain.net.PortLab.TEST_MAC;
import static org.splitring.driverdomain.net.PortLab.address;
import static org.splitring.driverdomain.net.PortLab.at;
import static org.splitring.driverdomain.net.PortLab.frame;
import static org.splitring.driverdomain.net.PortLab.freePort;
import static org.splitring.driverdomain.net.PortLab.onLoopback;
import static org.splitring.driverdomain.net.PortLab.receive;
import static org.splitring.driverdomain.net.PortLab.send;

import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.Frame;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.port.StreamPort;
import org.splitring.hypervisor.linux.IncomingDatagrams;
import org.splitring.hypervisor.linux.OutgoingDatagrams;
import org.splitring.hypervisor.linux.SockAddr;

class DatagramPortTest {
    private static final PortSettings VM = PortSettings.of("vm");

    @TempDir Path folder;

    @Test
    void framesGoBothWaysOverLoopbackAndStrangersAreCounted() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramSocket peer = onLoopback();
                DatagramSocket stranger = onLoopback()) {
            InetSocketAddress local = freePort();
            try (DatagramPort port =
                    DatagramPort.open(lab.network, VM, 1500, lab.loop, local, address(peer))) {
                send(peer, local, frame(BROADCAST, PEER_MAC, 60, 1));
                lab.expect(frame(BROADCAST, PEER_MAC, 60, 1));

                send(stranger, local, frame(BROADCAST, PEER_MAC, 60, 2));
                lab.awaitCount("vm", PortCounter.IN_DROPPED_PEER, 1);
                assertTrue(lab.received.isEmpty(), port.toString());

                for (int size : new int[] {14, 1514}) {
                    lab.test.send(frame(PEER_MAC, TEST_MAC, size, size));
                    assertArrayEquals(frame(PEER_MAC, TEST_MAC, size, size), receive(peer));
                }
                send(peer, local, new byte[13]);
                lab.awaitCount("vm", PortCounter.IN_DROPPED_RUNT, 1);
            }
            assertEquals(List.of("test"), lab.ports());
        }
    }

    @Test
    void twoNetworksMeetOverUnixSockets() throws Exception {
        DomainSocketAddress here = unix("here");
        DomainSocketAddress there = unix("there");
        try (PortLab lab = new PortLab();
                PortLab other = new PortLab();
                DatagramPort one = DatagramPort.open(lab.network, VM, 1500, lab.loop, here, there);
                DatagramPort two =
                        DatagramPort.open(other.network, VM, 1500, other.loop, there, here)) {
            for (int i = 0; i < 3; i++) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 1514, i));
                other.expect(frame(BROADCAST, TEST_MAC, 1514, i));
                other.test.send(frame(BROADCAST, PEER_MAC, 60, i));
                lab.expect(frame(BROADCAST, PEER_MAC, 60, i));
            }
            assertEquals(0, lab.count("vm", PortCounter.IN_DROPPED_PEER), one + " " + two);
        }
        assertFalse(Files.exists(folder.resolve("here")), "the socket is gone with its port");
    }

    @Test
    void peerThatIsNotThereIsNoTrouble() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"))) {
            for (int i = 0; i < 100; i++) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, i));
            }
            lab.awaitCount("vm", PortCounter.OUT_FRAMES, 100);
            assertEquals(2, lab.ports().size(), port.toString());
        }
    }

    @Test
    void socketInUseIsRefusedAndOneThatWasLeftIsReplaced() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"))) {
            IOException refused =
                    assertThrows(
                            IOException.class,
                            () ->
                                    DatagramPort.open(
                                            lab.network,
                                            PortSettings.of("second"),
                                            1500,
                                            lab.loop,
                                            unix("here"),
                                            unix("there")));
            assertTrue(
                    String.valueOf(refused.getMessage()).endsWith("here is in use"),
                    refused.getMessage() + port);
        }
        Path here = folder.resolve("here");
        Path kept = folder.resolve("kept");
        try (PortLab lab = new PortLab()) {
            DatagramPort port =
                    DatagramPort.open(lab.network, VM, 1500, lab.loop, unix("here"), unix("there"));
            Files.move(here, kept); // out of the way of being deleted, as when a process is killed
            port.close();
            Files.move(kept, here);
        }
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"))) {
            assertEquals(2, lab.ports().size(), port.toString());
        }
    }

    @Test
    void pathOfSomethingElseIsNotReplaced() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "kept");
        try (PortLab lab = new PortLab()) {
            IOException refused =
                    assertThrows(
                            IOException.class,
                            () ->
                                    DatagramPort.open(
                                            lab.network,
                                            VM,
                                            1500,
                                            lab.loop,
                                            unix("file"),
                                            unix("there")));
            assertEquals("port vm: " + file + " is there and is no socket", refused.getMessage());
        }
        assertEquals("kept", Files.readString(file));
    }

    @Test
    void addressInUseOrOfOthersIsNamed() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramSocket taken = onLoopback()) {
            IOException refused =
                    assertThrows(
                            IOException.class,
                            () ->
                                    DatagramPort.open(
                                            lab.network,
                                            VM,
                                            1500,
                                            lab.loop,
                                            address(taken),
                                            freePort()));
            assertEquals(
                    "port vm: cannot bind " + address(taken) + ": address in use (EADDRINUSE)",
                    refused.getMessage());
            IOException nameTaken =
                    assertThrows(
                            IOException.class,
                            () ->
                                    DatagramPort.open(
                                            lab.network,
                                            PortSettings.of("test"),
                                            1500,
                                            lab.loop,
                                            unix("here"),
                                            unix("there")));
            assertTrue(
                    String.valueOf(nameTaken.getMessage()).contains("a port test already"),
                    nameTaken.getMessage());
            assertFalse(Files.exists(folder.resolve("here")));
            assertEquals(List.of("test"), lab.ports());
        }
    }

    @Test
    void framesGoBothWaysOverIpv6() throws Exception {
        InetSocketAddress local = freePort("::1");
        try (PortLab lab = new PortLab();
                DatagramSocket peer = at("::1");
                DatagramSocket stranger = at("::1");
                DatagramPort port =
                        DatagramPort.open(lab.network, VM, 1500, lab.loop, local, address(peer))) {
            send(stranger, local, frame(BROADCAST, PEER_MAC, 60, 2));
            lab.awaitCount("vm", PortCounter.IN_DROPPED_PEER, 1);
            send(peer, local, frame(BROADCAST, PEER_MAC, 60, 1));
            lab.expect(frame(BROADCAST, PEER_MAC, 60, 1));
            lab.test.send(frame(PEER_MAC, TEST_MAC, 1514, 3));
            assertArrayEquals(frame(PEER_MAC, TEST_MAC, 1514, 3), receive(peer), port.toString());
        }
    }

    /// More than is read in one turn, and there is one event for all of them.
    @Test
    void allFramesComeOfABurstThatWaits() throws Exception {
        int frames = 5 * 64 + 3;
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"));
                UnixPeer peer = new UnixPeer("there")) {
            CountDownLatch go = new CountDownLatch(1);
            lab.loop.execute(
                    () -> {
                        try {
                            go.await();
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                        }
                    });
            int sent = 0;
            while (sent < frames && peer.send("here", frame(BROADCAST, PEER_MAC, 60, sent)) == 0) {
                sent++;
            }
            go.countDown();
            for (int i = 0; i < sent; i++) {
                lab.expect(frame(BROADCAST, PEER_MAC, 60, i));
            }
            assertTrue(sent > 0, port + " " + sent);
        }
    }

    @Test
    void whatIsLongerThanAFrameOrNobodysIsDropped() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"));
                UnixPeer peer = new UnixPeer("there");
                UnixPeer longer = new UnixPeer("there2");
                UnixPeer shorter = new UnixPeer("ther")) {
            assertEquals(0, longer.send("here", frame(BROADCAST, PEER_MAC, 60, 1)));
            assertEquals(0, shorter.send("here", frame(BROADCAST, PEER_MAC, 60, 1)));
            assertEquals(0, longer.send("here", new byte[Frame.MAX_BYTES + 1]));
            lab.awaitCount("vm", PortCounter.IN_DROPPED_PEER, 3);
            assertEquals(0, peer.send("here", new byte[Frame.MAX_BYTES + 1]));
            assertEquals(0, peer.send("here", new byte[StreamPort.MAX_LENGTH + 1]));
            lab.awaitCount("vm", PortCounter.IN_DROPPED_OVERSIZE, 2);
            assertEquals(0, lab.count("vm", PortCounter.IN_FRAMES), port.toString());
            assertEquals(0, peer.send("here", frame(BROADCAST, PEER_MAC, Frame.MAX_BYTES, 1)));
            lab.awaitCount("vm", PortCounter.IN_BYTES, Frame.MAX_BYTES);
            assertEquals(0, peer.send("here", frame(BROADCAST, PEER_MAC, 65_549, 2)));
            lab.expect(frame(BROADCAST, PEER_MAC, 65_549, 2));
            assertTrue(lab.received.isEmpty());
        }
    }

    /// A peer that does not read: what waits for it is bounded, and goes out as soon as it reads
    /// again, with nothing else to bring it about.
    @Test
    void whatTheSocketHasNoRoomForWaitsAndThenIsRefused() throws Exception {
        try (PortLab lab = new PortLab();
                UnixPeer peer = new UnixPeer("there");
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"))) {
            int offered = 0;
            while (lab.count("vm", PortCounter.OUT_DROPPED_FULL) == 0) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 1514, offered++));
                assertTrue(offered < 100_000, port.toString());
            }
            lab.awaitCount("vm", PortCounter.OUT_FRAMES, offered - 1);
            for (int i = 0; i < 10; i++) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 1514, 0));
            }
            lab.awaitCount("vm", PortCounter.OUT_DROPPED_FULL, 11);
            assertEquals(0, peer.send("here", frame(BROADCAST, PEER_MAC, 60, 1)));
            lab.expect(frame(BROADCAST, PEER_MAC, 60, 1)); // the loop goes on
            for (int i = 0; i < offered - 1; i++) {
                assertArrayEquals(
                        frame(BROADCAST, TEST_MAC, 1514, i), peer.receive(), "frame " + i);
            }
            lab.test.send(frame(BROADCAST, TEST_MAC, 60, 7));
            assertArrayEquals(frame(BROADCAST, TEST_MAC, 60, 7), peer.receive());
            assertEquals(11, lab.count("vm", PortCounter.OUT_DROPPED_FULL));
        }
    }

    @Test
    void peerThatHasGoneIsRefusedAndOneThatComesBackIsServed() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(
                                lab.network, VM, 1500, lab.loop, unix("here"), unix("there"))) {
            try (UnixPeer peer = new UnixPeer("there")) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, 1));
                assertArrayEquals(frame(BROADCAST, TEST_MAC, 60, 1), peer.receive());
                for (int i = 0;
                        lab.count("vm", PortCounter.OUT_DROPPED_FULL) == 0 && i < 100_000;
                        i++) {
                    lab.test.send(frame(BROADCAST, TEST_MAC, 1514, i));
                }
            }
            // What waited for the peer has nobody to go to: dropped at the latest with the next.
            lab.test.send(frame(BROADCAST, TEST_MAC, 60, 2));
            Awaitility.await().until(() -> lab.count("vm", PortCounter.OUT_DROPPED_FULL) >= 10);
            long dropped = lab.count("vm", PortCounter.OUT_DROPPED_FULL);
            for (int i = 0; i < 20; i++) { // connection refused: the file is there
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, i));
            }
            lab.awaitCount("vm", PortCounter.OUT_DROPPED_FULL, dropped + 20);
            try (UnixPeer back = new UnixPeer("there")) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, 3));
                assertArrayEquals(
                        frame(BROADCAST, TEST_MAC, 60, 3), back.receive(), port.toString());
            }
        }
    }

    /// A machine answers with an ICMP error for each.
    @Test
    void portThatNobodyHasIsNoTrouble() throws Exception {
        InetSocketAddress there = freePort();
        InetSocketAddress local = freePort();
        try (PortLab lab = new PortLab();
                DatagramPort port =
                        DatagramPort.open(lab.network, VM, 1500, lab.loop, local, there)) {
            for (int i = 0; i < 100; i++) {
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, i));
            }
            lab.awaitCount("vm", PortCounter.OUT_FRAMES, 100);
            try (DatagramSocket peer = new DatagramSocket(there)) {
                peer.setSoTimeout(10_000);
                lab.test.send(frame(BROADCAST, TEST_MAC, 60, 1));
                assertArrayEquals(frame(BROADCAST, TEST_MAC, 60, 1), receive(peer));
                send(peer, local, frame(BROADCAST, PEER_MAC, 60, 2));
                lab.expect(frame(BROADCAST, PEER_MAC, 60, 2));
                send(peer, local, new byte[0]);
                lab.awaitCount("vm", PortCounter.IN_DROPPED_RUNT, 1);
            }
            assertEquals(2, lab.ports().size(), port.toString());
        }
    }

    /// A Unix socket for datagrams in this test's folder, of which Java has none.
    private final class UnixPeer implements AutoCloseable {
        private final org.splitring.hypervisor.linux.DatagramSocket socket;
        private final OutgoingDatagrams outgoing = new OutgoingDatagrams(1, 1 << 17);
        private final IncomingDatagrams incoming = new IncomingDatagrams(1, 1 << 17);

        UnixPeer(String name) throws IOException {
            socket = org.splitring.hypervisor.linux.DatagramSocket.bind(folder.resolve(name));
        }

        int send(String to, byte[] bytes) throws IOException {
            int at = outgoing.reserve(bytes.length, 1);
            MemorySegment.copy(
                    bytes, 0, outgoing.memory(), ValueLayout.JAVA_BYTE, at, bytes.length);
            outgoing.add(SockAddr.of(folder.resolve(to)));
            return outgoing.send(socket);
        }

        byte[] receive() {
            Awaitility.await()
                    .pollDelay(Duration.ZERO)
                    .pollInterval(Duration.ofMillis(1))
                    .until(() -> incoming.receive(socket) == 1);
            assertTrue(incoming.isFrom(0, here()));
            return incoming.memory()
                    .asSlice(incoming.offset(0), incoming.sizeBytes(0))
                    .toArray(ValueLayout.JAVA_BYTE);
        }

        private SockAddr here() {
            try {
                return SockAddr.of(folder.resolve("here"));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }

        @Override
        public void close() {
            socket.close();
        }
    }

    private DomainSocketAddress unix(String name) {
        return new DomainSocketAddress(folder.resolve(name).toFile());
    }
}
