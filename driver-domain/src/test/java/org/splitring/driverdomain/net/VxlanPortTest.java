package org.splitring.driverdomain.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.net.PortLab.BROADCAST;
import static org.splitring.driverdomain.net.PortLab.PEER_MAC;
import static org.splitring.driverdomain.net.PortLab.TEST_MAC;
import static org.splitring.driverdomain.net.PortLab.at;
import static org.splitring.driverdomain.net.PortLab.frame;
import static org.splitring.driverdomain.net.PortLab.freePort;
import static org.splitring.driverdomain.net.PortLab.receive;
import static org.splitring.driverdomain.net.PortLab.send;

import java.lang.foreign.MemorySegment;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.splitring.bridge.Frame;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortSettings;

/// Peers are sockets on addresses of loopback of their own.
class VxlanPortTest {
    private static final int VNI = 0x00A1B2;
    private static final PortSettings SEGMENT = PortSettings.of("vxlan");

    @Test
    void headerIsTheOneOfTheRfc() throws Exception {
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                VxlanPort port = open(lab, freePort(), one)) {
            lab.test.send(frame(BROADCAST, TEST_MAC, 60, 1));
            byte[] datagram = receive(one);
            assertArrayEquals(
                    new byte[] {8, 0, 0, 0, 0, (byte) 0xA1, (byte) 0xB2, 0},
                    Arrays.copyOf(datagram, 8),
                    port.toString());
            assertArrayEquals(
                    frame(BROADCAST, TEST_MAC, 60, 1),
                    Arrays.copyOfRange(datagram, 8, datagram.length));
        }
    }

    @Test
    void knownAddressesGoToTheirPeerAndOthersToAll() throws Exception {
        InetSocketAddress local = freePort();
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                DatagramSocket two = at("127.0.0.3");
                VxlanPort port = open(lab, local, one, two)) {
            lab.test.send(frame(PEER_MAC, TEST_MAC, 60, 1));
            assertArrayEquals(receive(one), receive(two), "unknown: to both " + port);

            send(two, local, packet(VNI, frame(TEST_MAC, PEER_MAC, 60, 2)));
            lab.expect(frame(TEST_MAC, PEER_MAC, 60, 2));
            lab.test.send(frame(PEER_MAC, TEST_MAC, 60, 3));
            assertArrayEquals(packet(VNI, frame(PEER_MAC, TEST_MAC, 60, 3)), receive(two));
            assertNothing(one);

            send(one, local, packet(VNI, frame(TEST_MAC, PEER_MAC, 60, 4))); // it has moved
            lab.expect(frame(TEST_MAC, PEER_MAC, 60, 4));
            lab.test.send(frame(PEER_MAC, TEST_MAC, 60, 5));
            assertArrayEquals(packet(VNI, frame(PEER_MAC, TEST_MAC, 60, 5)), receive(one));
            assertNothing(two);
        }
    }

    @Test
    void whatComesFromAPeerIsNotSentToAnother() throws Exception {
        InetSocketAddress local = freePort();
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                DatagramSocket two = at("127.0.0.3");
                VxlanPort port = open(lab, local, one, two)) {
            send(one, local, packet(VNI, frame(BROADCAST, PEER_MAC, 60, 1)));
            lab.expect(frame(BROADCAST, PEER_MAC, 60, 1));
            assertNothing(two);
            assertEquals(2, lab.ports().size(), port.toString());
        }
    }

    @Test
    void n49_strangersOtherSegmentsAndReservedBitsAreDropped() throws Exception {
        InetSocketAddress local = freePort();
        byte[] inner = frame(BROADCAST, PEER_MAC, 60, 1);
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                DatagramSocket stranger = at("127.0.0.9");
                VxlanPort port = open(lab, local, one)) {
            send(stranger, local, packet(VNI, inner));
            lab.awaitCount("vxlan", PortCounter.IN_DROPPED_PEER, 1);
            int dropped = 1;
            byte[][] wrong = {
                packet(VNI + 1, inner),
                changed(packet(VNI, inner), 0, 0), // no VNI
                changed(packet(VNI, inner), 0, 0x88), // a bit of the group policy extension
                changed(packet(VNI, inner), 1, 1),
                changed(packet(VNI, inner), 7, 1),
                new byte[7],
                new byte[0],
            };
            for (byte[] datagram : wrong) {
                send(one, local, datagram);
                dropped++;
                lab.awaitCount("vxlan", PortCounter.IN_DROPPED_PEER, dropped);
            }
            send(one, local, Arrays.copyOf(packet(VNI, inner), 8 + 13));
            lab.awaitCount("vxlan", PortCounter.IN_DROPPED_RUNT, 1);
            assertTrue(lab.received.isEmpty(), port.toString());
            send(one, local, packet(VNI, inner));
            lab.expect(inner);
        }
    }

    /// A VXLAN datagram within a VXLAN datagram is a frame with some UDP in it, and nothing else.
    @Test
    void n49_aFrameIsUnpackedOnce() throws Exception {
        InetSocketAddress local = freePort();
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                VxlanPort port = open(lab, local, one)) {
            byte[] nested = packet(VNI, packet(VNI, frame(BROADCAST, PEER_MAC, 60, 1)));
            send(one, local, nested);
            byte[] expected = Arrays.copyOfRange(nested, 8, nested.length);
            // Its first bytes are a header of VXLAN: 08 00 .. is an address, and no group's.
            lab.expect(expected);
            assertEquals(1, lab.count("vxlan", PortCounter.IN_FRAMES), port.toString());
        }
    }

    /// Both kinds of addresses at one socket; each peer is told by its address, of either kind.
    @Test
    void n49_peersOfBothKindsAreKnownAndStrangersAreNot() throws Exception {
        InetSocketAddress free = freePort();
        InetSocketAddress everywhere = new InetSocketAddress(free.getPort());
        InetSocketAddress local6 =
                new InetSocketAddress(InetAddress.ofLiteral("::1"), free.getPort());
        try (PortLab lab = new PortLab();
                DatagramSocket one = at("127.0.0.2");
                DatagramSocket two = at("::1");
                DatagramSocket stranger = at("127.0.0.9");
                VxlanPort port = open(lab, everywhere, one, two)) {
            lab.test.send(frame(PEER_MAC, TEST_MAC, 60, 1));
            assertArrayEquals(receive(one), receive(two), port.toString());
            send(two, local6, packet(VNI, frame(TEST_MAC, PEER_MAC, 60, 2)));
            lab.expect(frame(TEST_MAC, PEER_MAC, 60, 2));
            lab.test.send(frame(PEER_MAC, TEST_MAC, 60, 3));
            assertArrayEquals(packet(VNI, frame(PEER_MAC, TEST_MAC, 60, 3)), receive(two));
            assertNothing(one);
            send(stranger, free, packet(VNI, frame(TEST_MAC, PEER_MAC, 60, 4)));
            lab.awaitCount("vxlan", PortCounter.IN_DROPPED_PEER, 1);
            send(one, free, packet(VNI, frame(TEST_MAC, PEER_MAC, 60, 5)));
            lab.expect(frame(TEST_MAC, PEER_MAC, 60, 5));
        }
    }

    /// A batch for all peers is more than waits at a time: it goes out in between.
    @Test
    void aBatchOfFramesForAllPeersReachesAll() throws Exception {
        int frames = DatagramEnd.QUEUE_DATAGRAMS / VxlanPort.MAX_PEERS + 1;
        try (PortLab lab = new PortLab();
                DatagramSocket odd = at("0.0.0.0");
                DatagramSocket even = at("0.0.0.0")) { // two buffers that are large enough
            DatagramSocket[] all = {even, odd};
            List<InetSocketAddress> peers =
                    IntStream.rangeClosed(1, VxlanPort.MAX_PEERS)
                            .mapToObj(
                                    i ->
                                            new InetSocketAddress(
                                                    InetAddress.ofLiteral("127.0.2." + i),
                                                    all[i % 2].getLocalPort()))
                            .toList();
            try (VxlanPort port =
                    VxlanPort.open(lab.network, SEGMENT, 1450, lab.loop, freePort(), VNI, peers)) {
                Frame frame = new Frame();
                MemorySegment bytes = MemorySegment.ofArray(frame(BROADCAST, TEST_MAC, 60, 1));
                boolean refused =
                        lab.onLoop(
                                () -> {
                                    frame.append(bytes, 0, 60);
                                    boolean any = false;
                                    for (int i = 0; i < frames; i++) {
                                        any |= !port.offer(frame);
                                    }
                                    port.flush();
                                    return any;
                                });
                assertFalse(refused);
                byte[] expected = packet(VNI, frame(BROADCAST, TEST_MAC, 60, 1));
                for (int i = 0; i < frames * VxlanPort.MAX_PEERS; i++) {
                    assertArrayEquals(expected, receive(all[i % 2]));
                }
                assertNothing(odd);
                assertNothing(even);
                assertEquals(0, lab.count("vxlan", PortCounter.OUT_DROPPED_FULL));
            }
        }
    }

    @Test
    void whatCannotBeIsRefused() throws Exception {
        try (PortLab lab = new PortLab()) {
            List<InetSocketAddress> peers = List.of(freePort());
            for (int vni : new int[] {-1, 1 << 24}) {
                assertThrows(
                        IllegalArgumentException.class,
                        () ->
                                VxlanPort.open(
                                        lab.network,
                                        SEGMENT,
                                        1450,
                                        lab.loop,
                                        freePort(),
                                        vni,
                                        peers));
            }
            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            VxlanPort.open(
                                    lab.network,
                                    SEGMENT,
                                    1450,
                                    lab.loop,
                                    freePort(),
                                    1,
                                    List.of()));
        }
    }

    private static VxlanPort open(PortLab lab, InetSocketAddress local, DatagramSocket... peers)
            throws Exception {
        return VxlanPort.open(
                lab.network,
                SEGMENT,
                1450,
                lab.loop,
                local,
                VNI,
                Arrays.stream(peers).map(PortLab::address).toList());
    }

    private static byte[] packet(int vni, byte[] inner) {
        return ByteBuffer.allocate(8 + inner.length)
                .putInt(0x0800_0000)
                .putInt(vni << 8)
                .put(inner)
                .array();
    }

    private static byte[] changed(byte[] bytes, int at, int value) {
        bytes[at] = (byte) value;
        return bytes;
    }

    /// What was sent to others before has been received by them, so it would be here by now.
    private static void assertNothing(DatagramSocket socket) throws Exception {
        socket.setSoTimeout(1);
        assertThrows(SocketTimeoutException.class, () -> receive(socket));
        socket.setSoTimeout(10_000);
    }
}
