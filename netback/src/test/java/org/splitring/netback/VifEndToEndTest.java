package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.xenbus.store.Watch;

/// Two guests, each with a real frontend, over the network: what one sends the other receives.
@Timeout(60)
@ParameterizedClass(name = "copying={0}")
@ValueSource(booleans = {false, true})
class VifEndToEndTest {
    private final VifLab lab;

    VifEndToEndTest(boolean copying) {
        lab = VifLab.withSeed(copying);
    }

    @AfterEach
    void close() {
        lab.close();
    }

    private static VifFrontendOptions options(boolean least) {
        return least ? VifFrontendOptions.DEFAULT.withLeast() : VifFrontendOptions.DEFAULT;
    }

    @ParameterizedTest
    @CsvSource({
        "false, false, 14", "false, false, 60", "false, false, 256", "false, false, 257",
        "false, false, 1514", "true, false, 1514", "false, true, 1514", "true, true, 1514",
        "true, true, 60"
    })
    void aFrameArrivesAsItWasSent(boolean senderHasLeast, boolean receiverHasLeast, int size)
            throws Exception {
        VifLab.Guest one = lab.guest(1, options(senderHasLeast), Map.of());
        VifLab.Guest two = lab.guest(2, options(receiverHasLeast), Map.of());
        byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), size);
        one.send(frame);
        assertArrayEquals(frame, two.awaitFrame().bytes());
        byte[] back = Packets.frame(Packets.mac(1), Packets.mac(2), size);
        two.send(back);
        assertArrayEquals(back, one.awaitFrame().bytes());
        assertEquals(1, lab.metrics(1).txPackets());
        assertEquals(1, lab.metrics(1).rxPackets());
        assertEquals(size, lab.metrics(2).txBytes());
    }

    @ParameterizedTest
    @ValueSource(ints = {4096, 4097, 9014, 12288, 65535})
    void jumboFramesTakeAsManySlotsAsTheyNeed(int size) throws Exception {
        lab.mtu = 65535;
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), size);
        for (int i = 0; i < 40; i++) { // several times around both rings
            one.send(frame);
            assertArrayEquals(frame, two.awaitFrame().bytes());
        }
    }

    /// What is set aside for some frames at a time has no room for all of these.
    @Test
    void theLargestFramesComeAllAtOnce() throws Exception {
        lab.mtu = 65535;
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        List<byte[]> frames = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            int size = i < 3 || i > 14 ? 65535 : 4095;
            byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), size);
            Arrays.fill(frame, 100, frame.length, (byte) i);
            frames.add(frame);
        }
        one.sendAtOnce(frames, tx -> {});
        for (byte[] frame : frames) {
            assertArrayEquals(frame, two.awaitFrame().bytes());
        }
    }

    @Test
    void manySegmentsOfLargeOnesComeAllAtOnce() throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2, VifFrontendOptions.DEFAULT.withLeast(), Map.of());
        byte[] large = packet(4, 6, 40 * 1400, true);
        one.sendAtOnce(
                List.of(large, large, large, large),
                tx -> {
                    tx.checksum(FrameChecksum.PARTIAL);
                    tx.segmentation(FrameSegmentation.TCPV4, 1400);
                });
        lab.until("all segments", () -> two.received.size() == 160);
        for (VifLab.Seen seen : two.received) {
            assertTrue(Packets.hasGoodChecksum(seen.bytes()));
        }
    }

    @Test
    void manyFramesKeepTheirOrder() throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        for (int i = 0; i < 2000; i++) {
            byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), 60);
            frame[20] = (byte) i;
            frame[21] = (byte) (i >>> 8);
            one.send(frame);
        }
        lab.until("all arrive", () -> two.received.size() == 2000);
        for (int i = 0; i < 2000; i++) {
            byte[] bytes = two.received.get(i).bytes();
            assertEquals(i, (bytes[20] & 0xFF) | ((bytes[21] & 0xFF) << 8));
        }
        assertEquals(0, lab.metrics(2).rxDropped());
    }

    @ParameterizedTest
    @CsvSource({"4, 6", "4, 17", "6, 6", "6, 17"})
    void checksumsTravelAsThreeValues(int version, int protocol) throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        byte[] whole = packet(version, protocol, 100, false);
        byte[] blank = packet(version, protocol, 100, true);

        one.send(whole);
        VifLab.Seen unknown = two.awaitFrame();
        assertEquals(FrameChecksum.UNKNOWN, unknown.checksum());
        one.send(whole, frame -> frame.checksum(FrameChecksum.COMPLETE));
        VifLab.Seen complete = two.awaitFrame();
        assertEquals(FrameChecksum.COMPLETE, complete.checksum());
        assertArrayEquals(whole, complete.bytes());
        one.send(blank, frame -> frame.checksum(FrameChecksum.PARTIAL));
        VifLab.Seen partial = two.awaitFrame();
        assertEquals(FrameChecksum.PARTIAL, partial.checksum());
        assertArrayEquals(blank, partial.bytes());
    }

    private static byte[] packet(int version, int protocol, int payload, boolean blank) {
        return version == 4
                ? Packets.ip4(Packets.mac(2), Packets.mac(1), protocol, payload, blank)
                : Packets.ip6(Packets.mac(2), Packets.mac(1), protocol, payload, blank);
    }

    @ParameterizedTest
    @CsvSource({"4, 6", "4, 17", "6, 6", "6, 17"})
    void aPartialChecksumIsCompletedForWhoeverCannotTakeIt(int version, int protocol)
            throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2, VifFrontendOptions.DEFAULT.withoutOffloads(), Map.of());
        one.send(
                packet(version, protocol, 333, true),
                frame -> frame.checksum(FrameChecksum.PARTIAL));
        VifLab.Seen seen = two.awaitFrame();
        assertTrue(seen.checksum() != FrameChecksum.PARTIAL, seen.checksum().toString());
        assertTrue(Packets.hasGoodChecksum(seen.bytes()));
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 6})
    void aLargeSegmentTravelsWhole(int version) throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        FrameSegmentation type = version == 4 ? FrameSegmentation.TCPV4 : FrameSegmentation.TCPV6;
        byte[] large = packet(version, 6, 60_000, true);
        one.send(
                large,
                frame -> {
                    frame.checksum(FrameChecksum.PARTIAL);
                    frame.segmentation(type, 1448);
                });
        VifLab.Seen seen = two.awaitFrame();
        assertArrayEquals(large, seen.bytes());
        assertEquals(FrameChecksum.PARTIAL, seen.checksum());
        assertEquals(type, seen.segmentation());
        assertEquals(1448, seen.segmentBytes());
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 6})
    void aLargeSegmentIsCutForWhoeverCannotTakeIt(int version) throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2, VifFrontendOptions.DEFAULT.withLeast(), Map.of());
        int headers = version == 4 ? 54 : 74;
        one.send(
                packet(version, 6, 20_000, true),
                frame -> {
                    frame.checksum(FrameChecksum.PARTIAL);
                    frame.segmentation(
                            version == 4 ? FrameSegmentation.TCPV4 : FrameSegmentation.TCPV6, 1400);
                });
        lab.until("all segments", () -> two.received.size() == 15);
        int payload = 0;
        for (VifLab.Seen seen : two.received) {
            assertEquals(FrameSegmentation.NONE, seen.segmentation());
            assertTrue(Packets.hasGoodChecksum(seen.bytes()));
            payload += seen.bytes().length - headers;
        }
        assertEquals(20_000, payload);
    }

    @Test
    void aFloodThatFillsTheTxRingIsHeldBackAndGoesOn() throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), 1000);
        int[] sent = {0};
        Runnable flood =
                () -> {
                    while (sent[0] < 3000) {
                        var tx = one.vif().acquire(0, frame.length);
                        if (tx == null) {
                            break;
                        }
                        tx.append(MemorySegment.ofArray(frame), 0, frame.length);
                        tx.send();
                        sent[0]++;
                    }
                    one.vif().flush();
                };
        one.onWritable = flood;
        one.loop.execute(flood);
        lab.until(
                "everything is sent and ends",
                () -> sent[0] == 3000 && two.received.size() + lab.metrics(2).rxDropped() == 3000);
        assertTrue(one.writable > 3, "held back " + one.writable + " times");
    }

    @Test
    void bothEndsCloseAndLeaveNothing() throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        for (int round = 0; round < 5; round++) {
            byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), 100 + round);
            one.send(frame);
            assertArrayEquals(frame, two.awaitFrame().bytes());
            one.closeFront();
            one.checkNothingLeft();
            one.connect();
            lab.until("connected again", () -> one.features != null);
            lab.settle();
        }
        assertEquals(5, one.carrierLosses);
        one.closeFront();
        one.closeBack();
        one.checkNothingLeft();
        lab.settle();
        assertEquals(1, lab.network.ports().size());
    }

    @Test
    void anotherBackendTakesOver() throws Exception {
        VifLab.Guest one = lab.guest(1);
        VifLab.Guest two = lab.guest(2);
        for (int round = 0; round < 3; round++) {
            one.closeBack();
            one.backends = lab.backends(1);
            lab.until("carrier on", () -> one.features != null);
            lab.settle();
            byte[] frame = Packets.frame(Packets.mac(2), Packets.mac(1), 70 + round);
            one.send(frame);
            assertArrayEquals(frame, two.awaitFrame().bytes());
        }
    }

    /// Ours says Connected with its rings, as Linux's does, and never Initialised.
    @Test
    void theFrontendIsConnectedBeforeTheBackend() throws Exception {
        List<String> said = new ArrayList<>();
        String state = VifLab.paths(1).frontend() + "/state";
        try (Watch _ = lab.store.watch(state, path -> said.add(lab.frontendState(1)))) {
            VifLab.Guest one = lab.guest(1);
            one.closeFront();
            lab.settle();
        }
        assertTrue(said.contains("4"), said::toString);
        assertFalse(said.contains("3"), said::toString);
    }

    /// Others write Initialised first, and wait for the backend.
    @Test
    void aFrontendThatWaitsForTheBackendIsServedToo() throws Exception {
        RawVif raw = new RawVif(lab, 1);
        raw.publish("3");
        lab.awaitBackend(1, "4");
        raw.state("4");
        lab.settle();
        assertEquals("4", lab.backendState(1));
        assertEquals(1, lab.network.ports().size());
    }

    @Test
    void theToolstackUnplugsIt() throws Exception {
        VifLab.Guest one = lab.guest(1);
        lab.toolstack.unplug(VifLab.paths(1));
        lab.awaitBackend(1, "6");
        lab.toolstack.removeDevice(VifLab.paths(1));
        lab.settle();
        one.checkNothingLeft();
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertEquals(0, lab.network.ports().size());
    }

    @Test
    void severalQueuesConnectAndCarryFrames() throws Exception {
        VifLab.Guest one = lab.guest(1, VifFrontendOptions.DEFAULT.withQueues(2), Map.of());
        VifLab.Guest two = lab.guest(2, VifFrontendOptions.DEFAULT.withQueues(2), Map.of());
        assertEquals(2, Objects.requireNonNull(two.features).queues());
        boolean[] used = new boolean[2];
        for (int flow = 0; flow < 32; flow++) {
            byte[] frame = Packets.ip4(Packets.mac(2), Packets.mac(1), 17, 64, false);
            frame[34] = (byte) flow; // another port, another flow
            one.send(frame);
            VifLab.Seen first = two.awaitFrame();
            one.send(frame);
            assertEquals(first.queue(), two.awaitFrame().queue(), "flow " + flow);
            used[first.queue()] = true;
        }
        assertTrue(used[0] && used[1], "both queues are used");
    }
}
