package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.VifFrontendOptions;

/// What a guest can do with its rx ring: offer nothing, too little, or nonsense.
@Timeout(60)
@ParameterizedClass(name = "copying={0}")
@ValueSource(booleans = {false, true})
class HostileRxTest {
    private static final int MORE_DATA = 4;
    private static final int EXTRA_INFO = 8;

    private final VifLab lab;
    private VifLab.Guest neighbour;
    private RawVif raw;

    HostileRxTest(boolean copying) {
        lab = VifLab.withSeed(copying);
    }

    @BeforeEach
    void connect() throws Exception {
        neighbour = lab.guest(2);
        lab.mappedByOthers = lab.hypervisor.mappedTotal();
        raw = new RawVif(lab, 1);
    }

    @AfterEach
    void close() {
        raw.close();
        lab.close();
    }

    private static byte[] toRaw(int size) {
        return Packets.frame(Packets.mac(1), Packets.mac(2), size);
    }

    private void seconds(long count) {
        lab.sim.runFor(TimeUnit.SECONDS.toNanos(count));
    }

    @Test
    void aFrameComesInTheSlotOfItsRequestAndAfterwardsInTheNext() throws Exception {
        raw.connect();
        raw.offerRx(8);
        for (int i = 0; i < 8; i++) {
            byte[] frame = toRaw(60 + i);
            neighbour.send(frame);
            raw.awaitRx(i + 1);
            assertEquals(60 + i, raw.rxStatus(i));
            assertEquals(i, raw.rxField(i, 0), "the id of the request in that slot");
            assertArrayEquals(frame, raw.rxBytes(i));
        }
    }

    @Test
    void aLargeFrameTakesASlotForEachPageAndOneForItsExtra() throws Exception {
        raw.connect();
        raw.offerRx(8);
        byte[] large = Packets.ip4(Packets.mac(1), Packets.mac(2), 6, 10_000, true);
        neighbour.send(
                large,
                frame -> {
                    frame.checksum(FrameChecksum.PARTIAL);
                    frame.segmentation(FrameSegmentation.TCPV4, 1400);
                });
        raw.awaitRx(4);
        assertEquals(MORE_DATA | EXTRA_INFO | 3, raw.rxFlags(0));
        assertEquals(1, raw.rxField(1, 0), "an extra of type GSO, the last");
        assertEquals(1400, raw.rxField(1, 2));
        assertEquals(MORE_DATA, raw.rxFlags(2));
        assertEquals(0, raw.rxFlags(3));
        assertEquals(4096, raw.rxStatus(0));
        assertEquals(4096, raw.rxStatus(2));
        assertEquals(large.length - 8192, raw.rxStatus(3));
    }

    @Test
    void aPageThatCannotBeReachedCostsItsFrameAndNothingElse() throws Exception {
        raw.connect();
        raw.offerRx(1);
        var slot = Arena.ofAuto().allocate(8, 8);
        slot.set(ValueLayout.JAVA_INT, 4, 0x7FFF_FFFF);
        raw.rx.publishAndKick(slot);
        raw.offerRx(1);
        for (int i = 0; i < 3; i++) {
            neighbour.send(toRaw(100));
            raw.awaitRx(i + 1);
        }
        assertEquals(100, raw.rxStatus(0));
        assertEquals(-1, raw.rxStatus(1));
        assertEquals(100, raw.rxStatus(2));
        assertEquals(1, lab.metrics(1).rxErrors());
        assertEquals(2, lab.metrics(1).rxPackets());
    }

    @Test
    void framesWaitForSlotsAndComeInOrder() throws Exception {
        raw.connect();
        for (int i = 0; i < 10; i++) {
            neighbour.send(toRaw(60 + i));
        }
        lab.settle();
        assertEquals(10, lab.metrics(1).rxQueuedPackets());
        for (int i = 0; i < 10; i++) {
            raw.offerRx(1);
            raw.awaitRx(i + 1);
            assertEquals(60 + i, raw.rxStatus(i));
        }
        assertEquals(0, lab.metrics(1).rxQueuedPackets());
    }

    @Test
    void h046_aGuestThatTakesNothingIsBoundedInBytesAndInFrames() throws Exception {
        raw.connect();
        for (int i = 0; i < 1500; i++) {
            neighbour.send(toRaw(60));
        }
        lab.settle();
        assertEquals(RxBacklog.MAX_FRAMES, lab.metrics(1).rxQueuedPackets());
        assertEquals(1500 - RxBacklog.MAX_FRAMES, lab.metrics(1).rxDropped());
        raw.offerRx(1); // and one page is one frame, in its turn
        raw.awaitRx(1);
        lab.settle();
        assertEquals(RxBacklog.MAX_FRAMES - 1, lab.metrics(1).rxQueuedPackets());
    }

    @Test
    void h046_aGuestThatTakesNothingIsBoundedInBytes() throws Exception {
        raw.connect();
        for (int i = 0; i < 600; i++) {
            neighbour.send(toRaw(1500));
            assertTrue(lab.metrics(1).rxQueuedBytes() <= RxBacklog.MAX_BYTES);
        }
        lab.settle();
        assertTrue(lab.metrics(1).rxDropped() > 200, lab.metrics(1).toString());
    }

    @Test
    void h046_aFrameThatWaitsTooLongIsDroppedAndAfterAMinuteTheCarrierGoesOff() throws Exception {
        raw.connect();
        neighbour.send(toRaw(60));
        seconds(8);
        assertEquals(0, lab.metrics(1).rxExpired());
        seconds(4);
        assertEquals(1, lab.metrics(1).rxExpired());
        for (int i = 0; i < 30; i++) { // a frame every two seconds: never long without one
            neighbour.send(toRaw(60));
            seconds(2);
        }
        assertEquals(1, lab.metrics(1).stalls());
        assertEquals(0, lab.metrics(1).rxQueuedPackets());
        long before = lab.metrics(1).rxNotConnected();
        neighbour.send(toRaw(60));
        lab.settle();
        assertEquals(before + 1, lab.metrics(1).rxNotConnected());
        raw.offerRx(2);
        lab.settle();
        neighbour.send(toRaw(71));
        raw.awaitRx(1);
        assertEquals(71, raw.rxStatus(0));
    }

    /// The minute counts from the first frame that had to wait, also when the one before it, which
    /// found the last slot, came with it.
    @Test
    void h046_theMinuteBeginsWithTheFirstFrameThatWaits() throws Exception {
        raw.connect();
        raw.offerRx(1);
        byte[] frame = toRaw(60);
        neighbour.sendAtOnce(List.of(frame, frame), tx -> {});
        raw.awaitRx(1);
        for (int i = 0; i < 7; i++) {
            seconds(9);
            neighbour.send(toRaw(60));
        }
        assertEquals(1, lab.metrics(1).stalls());
    }

    private void sendOfThreeSlots() {
        neighbour.send(
                Packets.ip4(Packets.mac(1), Packets.mac(2), 6, 5_000, true),
                frame -> {
                    frame.checksum(FrameChecksum.PARTIAL);
                    frame.segmentation(FrameSegmentation.TCPV4, 1400);
                });
    }

    /// Exactly one slot for ever, while the next frame needs three: no slot is missing, and yet
    /// nothing goes on.
    @Test
    void h046_oneSlotForEverWhileAFrameNeedsMoreIsAStall() throws Exception {
        lab.mtu = 1500;
        raw.connect();
        raw.offerRx(1);
        for (int i = 0; i < 45; i++) {
            sendOfThreeSlots();
            seconds(2);
        }
        assertEquals(1, lab.metrics(1).stalls());
        raw.offerRx(1); // two of the three that it needs
        lab.settle();
        long before = lab.metrics(1).rxNotConnected();
        neighbour.send(toRaw(60));
        lab.settle();
        assertEquals(before + 1, lab.metrics(1).rxNotConnected(), "the carrier is still off");
        raw.offerRx(1);
        lab.settle();
        neighbour.send(toRaw(61));
        raw.awaitRx(1);
        assertEquals(61, raw.rxStatus(0));
    }

    /// Behind one that needs three slots, of which there is one.
    @Test
    void h046_whenAFrameIsGivenUpTheNextOneGetsTheSlotsThatAreThere() throws Exception {
        raw.connect();
        raw.offerRx(1);
        sendOfThreeSlots();
        seconds(5);
        neighbour.send(toRaw(61));
        seconds(7); // the first has waited for 12, the other for 7
        assertEquals(1, lab.metrics(1).rxExpired());
        raw.awaitRx(1);
        assertEquals(61, raw.rxStatus(0));
        assertEquals(0, lab.metrics(1).rxQueuedPackets());
    }

    /// The event that a frame of three slots waited for comes too late for what stands first since.
    @Test
    void h046_afterAStallASlotIsEnoughForWhatStoodFirstLast() throws Exception {
        raw.connect();
        sendOfThreeSlots();
        for (int i = 0; i < 35; i++) {
            seconds(2);
            neighbour.send(toRaw(60));
        }
        assertEquals(1, lab.metrics(1).stalls());
        assertTrue(raw.offerRxAsAsked(1), "the event is the slot's");
        lab.settle();
        neighbour.send(toRaw(61));
        raw.awaitRx(1);
        assertEquals(61, raw.rxStatus(0));
    }

    @Test
    void aFrontendThatSendsNoEventsForItsPagesIsLookedAfter() throws Exception {
        raw.keys.remove("feature-rx-notify");
        checkPagesWithoutEvents();
    }

    @Test
    void aFrontendWithOneChannelThatSendsNoEventsIsLookedAfter() throws Exception {
        raw.withOneEventChannel().keys.remove("feature-rx-notify");
        checkPagesWithoutEvents();
    }

    private void checkPagesWithoutEvents() throws Exception {
        raw.connect();
        neighbour.send(toRaw(60));
        lab.settle();
        var slot = Arena.ofAuto().allocate(8, 8);
        slot.set(ValueLayout.JAVA_INT, 4, raw.data.gref(16));
        raw.rx.publish(slot); // and no kick
        raw.awaitRx(1);
        assertEquals(60, raw.rxStatus(0));
        neighbour.send(toRaw(60));
        seconds(1);
        assertEquals(1, lab.metrics(1).rxExpired());
        assertEquals(0, lab.metrics(1).stalls());
    }

    @Test
    void h047_framesAreDroppedAtFullRateWhileTheVifCloses() throws Exception {
        raw.connect();
        for (int i = 0; i < 1100; i++) {
            neighbour.send(toRaw(60));
        }
        raw.state("5");
        for (int i = 0; i < 200; i++) {
            neighbour.send(toRaw(60));
        }
        raw.state("6");
        lab.awaitBackend(1, "6");
        lab.settle();
        assertEquals(0, lab.metrics(1).rxQueuedPackets());
        assertEquals(lab.mappedByOthers, lab.hypervisor.mappedTotal());
        neighbour.send(Packets.frame(Packets.broadcast(), Packets.mac(2), 60));
        lab.settle();
    }

    @Test
    void h001_impossibleIndicesOfTheRxRingCloseTheVif() throws Exception {
        raw.connect();
        raw.rx.claimTooMuch();
        neighbour.send(toRaw(60));
        neighbour.send(toRaw(60));
        raw.awaitFatal("req_prod");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "3", "2147483648", "1junk", "-1", ""})
    void h050_queueCountsThatWereNotOfferedAreRefused(String count) throws Exception {
        raw.keys.put("multi-queue-num-queues", count);
        refused("multi-queue-num-queues");
    }

    @Test
    void h050_missingQueuesAreRefused() throws Exception {
        raw.keys.put("multi-queue-num-queues", "2");
        refused("queue-0/tx-ring-ref is missing");
    }

    @Test
    void h050_oneEventChannelForTwoQueuesIsRefused() throws Exception {
        queues();
        raw.keys.put("queue-1/event-channel-tx", Integer.toString(raw.txPort.port()));
        raw.keys.put("queue-1/event-channel-rx", Integer.toString(raw.rxPort.port()));
        refused("event channel that another queue has");
    }

    @Test
    void h050_oneRingForBothWaysIsRefused() throws Exception {
        raw.keys.put("rx-ring-ref", raw.keys.getOrDefault("tx-ring-ref", ""));
        refused("stands there twice");
    }

    @Test
    void h050_ringsThatAreNotGrantedAreRefused() throws Exception {
        raw.keys.put("rx-ring-ref", "4294967295");
        refused("gref");
    }

    @Test
    void pagesAreNotExchanged() throws Exception {
        raw.keys.put("request-rx-copy", "0");
        refused("request-rx-copy");
    }

    private void queues() {
        raw.keys.put("multi-queue-num-queues", "2");
        for (int i = 0; i < 2; i++) {
            for (String key :
                    new String[] {
                        "tx-ring-ref", "rx-ring-ref", "event-channel-tx", "event-channel-rx"
                    }) {
                raw.keys.put("queue-" + i + "/" + key, raw.keys.getOrDefault(key, ""));
            }
        }
        raw.keys.put("queue-1/tx-ring-ref", Integer.toString(raw.data.gref(0)));
        raw.keys.put("queue-1/rx-ring-ref", Integer.toString(raw.data.gref(1)));
    }

    private void refused(String message) throws Exception {
        raw.publish();
        raw.awaitFatal(message);
    }

    @Test
    void anythingOnTheRxRingHarmsNobody() throws Exception {
        raw.connect();
        VifLab.Guest third = lab.guest(3, VifFrontendOptions.DEFAULT, Map.of());
        SplittableRandom random = new SplittableRandom(lab.sim.seed());
        for (int i = 0; i < 50; i++) {
            raw.rx.scribble(random);
            raw.rx.kick(1);
            byte[] frame = Packets.frame(Packets.broadcast(), Packets.mac(2), 60 + i);
            neighbour.send(frame);
            assertArrayEquals(frame, third.awaitFrame().bytes());
        }
    }
}
