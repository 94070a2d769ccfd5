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

import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortSettings;

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
            lab.awaitPorts("test");
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

    private DomainSocketAddress unix(String name) {
        return new DomainSocketAddress(folder.resolve(name).toFile());
    }

    static DatagramSocket onLoopback() throws IOException {
        DatagramSocket socket = new DatagramSocket(0, InetAddress.getLoopbackAddress());
        socket.setSoTimeout(10_000);
        return socket;
    }

    static InetSocketAddress address(DatagramSocket socket) {
        return new InetSocketAddress(socket.getLocalAddress(), socket.getLocalPort());
    }

    static InetSocketAddress freePort() throws IOException {
        try (DatagramSocket probe = onLoopback()) {
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
}
