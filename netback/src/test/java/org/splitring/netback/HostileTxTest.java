package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.netfront.FrameChecksum;

/// What a guest can put on a tx ring, beside a neighbour that must not notice.
@Timeout(60)
@ParameterizedClass(name = "copying={0}")
@ValueSource(booleans = {false, true})
class HostileTxTest {
    private static final int OKAY = 0;
    private static final int ERROR = -1;
    private static final int NULL = 1;

    private final VifLab lab;
    private VifLab.Guest neighbour;
    private RawVif raw;

    HostileTxTest(boolean copying) {
        lab = VifLab.withSeed(copying);
    }

    @BeforeEach
    void connect() throws Exception {
        neighbour = lab.guest(2);
        lab.mappedByOthers = lab.hypervisor.mappedTotal();
        raw = new RawVif(lab, 1).connect();
    }

    @AfterEach
    void close() throws Exception {
        // Whatever happened, the neighbour is served.
        byte[] frame = Packets.frame(Packets.broadcast(), Packets.mac(2), 60);
        long before = lab.metrics(2).txPackets();
        neighbour.send(frame);
        lab.until("the neighbour is served", () -> lab.metrics(2).txPackets() > before);
        raw.close();
        lab.close();
    }

    private byte[] frame(int size) {
        return Packets.frame(Packets.mac(2), Packets.mac(1), size);
    }

    private void goesOn() {
        int answered = raw.tx.rspProd();
        byte[] good = frame(77);
        raw.send(good);
        raw.awaitTx(answered + 1);
        assertEquals(OKAY, raw.txStatus(answered));
        lab.until("the good frame", () -> !neighbour.received.isEmpty());
        assertArrayEquals(good, neighbour.received.removeLast().bytes());
        neighbour.received.clear();
    }

    // Slots of a frame.

    @Test
    void h042_aFrameOf18SlotsIsSent() {
        int[] pieces = new int[18];
        Arrays.fill(pieces, 80);
        byte[] sent = frame(18 * 80);
        raw.send(sent, 0, List.of(), pieces);
        raw.awaitTx(18);
        assertArrayEquals(sent, neighbour.awaitFrame().bytes());
        for (int i = 0; i < 18; i++) {
            assertEquals(OKAY, raw.txStatus(i));
            assertEquals(100 + i, raw.txId(i));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {19, 20})
    void h042_aFrameOf19Or20SlotsIsDroppedAndEachSlotAnswered(int slots) {
        int[] pieces = new int[slots];
        Arrays.fill(pieces, 70);
        raw.send(frame(slots * 70), 0, List.of(), pieces);
        raw.awaitTx(slots);
        for (int i = 0; i < slots; i++) {
            assertEquals(ERROR, raw.txStatus(i));
            assertEquals(100 + i, raw.txId(i));
        }
        goesOn();
    }

    @Test
    void h042_aFrameOf21SlotsClosesTheVif() throws Exception {
        int[] pieces = new int[21];
        Arrays.fill(pieces, 60);
        raw.send(frame(21 * 60), 0, List.of(), pieces);
        raw.awaitFatal("more than 20 slots");
    }

    @Test
    void h042_aFrameThatGoesOnBeyondTheRingClosesTheVif() throws Exception {
        raw.tx.publish(RawVif.txSlot(raw.data.gref(0), 0, RawVif.MORE_DATA, 1, 200));
        raw.tx.kick(1);
        raw.awaitFatal("goes on beyond");
    }

    @ParameterizedTest
    @CsvSource({"4090, 7", "1, 4096", "65535, 1", "0, 4097", "4096, 60", "65535, 65535"})
    void h042_aSlotThatCrossesItsPageClosesTheVif(int offset, int size) throws Exception {
        raw.tx.publish(RawVif.txSlot(raw.data.gref(0), offset, 0, 1, size));
        raw.tx.kick(1);
        raw.awaitFatal("crosses the end of its page");
    }

    @Test
    void h042_aLaterSlotThatCrossesItsPageClosesTheVif() throws Exception {
        raw.tx.publish(RawVif.txSlot(raw.data.gref(0), 0, RawVif.MORE_DATA, 1, 500));
        raw.tx.publish(RawVif.txSlot(raw.data.gref(1), 4000, 0, 2, 200));
        raw.tx.kick(1);
        raw.awaitFatal("crosses the end of its page");
    }

    /// 64 KiB and more wrap in the 16 bits of the first slot: honest guests have done so.
    @Test
    void h042_aSizeThatHasWrappedIsDroppedAndNotFatal() {
        raw.tx.publish(RawVif.txSlot(raw.data.gref(0), 0, RawVif.MORE_DATA, 1, 100));
        raw.tx.publish(RawVif.txSlot(raw.data.gref(1), 0, RawVif.MORE_DATA, 2, 4096));
        raw.tx.publish(RawVif.txSlot(raw.data.gref(2), 0, 0, 3, 50));
        raw.tx.kick(1);
        raw.awaitTx(3);
        for (int i = 0; i < 3; i++) {
            assertEquals(ERROR, raw.txStatus(i));
            assertEquals(1 + i, raw.txId(i));
        }
        goesOn();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 13})
    void h042_aFrameShorterThanItsHeaderIsDropped(int size) {
        raw.tx.publishAndKick(RawVif.txSlot(raw.data.gref(0), 0, 0, 9, size));
        raw.awaitTx(1);
        assertEquals(ERROR, raw.txStatus(0));
        goesOn();
    }

    // Extras.

    @Test
    void h042_aMissingExtraClosesTheVif() throws Exception {
        raw.tx.publishAndKick(RawVif.txSlot(raw.data.gref(0), 0, RawVif.EXTRA_INFO, 1, 60));
        raw.awaitFatal("extra is missing");
    }

    @Test
    void h042_extrasWithoutEndCloseTheVif() throws Exception {
        raw.tx.publish(RawVif.txSlot(raw.data.gref(0), 0, RawVif.EXTRA_INFO, 1, 60));
        for (int i = 1; i < raw.tx.entries(); i++) {
            raw.tx.publish(RawVif.extra(4, 1));
        }
        raw.tx.kick(1);
        raw.awaitFatal("extra is missing");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 5, 6, 255})
    void h042_anExtraOfNoTypeClosesTheVif(int type) throws Exception {
        raw.send(frame(60), 0, List.of(RawVif.extra(type, 0)), 60);
        raw.awaitFatal("type that does not exist");
    }

    @Test
    void h042_aGsoSizeOfNothingClosesTheVif() throws Exception {
        raw.send(frame(60), 0, List.of(RawVif.gsoExtra(1, 0)), 60);
        raw.awaitFatal("GSO size of 0");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 255})
    void h042_aGsoTypeThatIsNoneClosesTheVif(int type) throws Exception {
        raw.send(frame(60), 0, List.of(RawVif.gsoExtra(type, 1400)), 60);
        raw.awaitFatal("GSO type that does not exist");
    }

    @Test
    void extrasAreAnsweredWithNull() {
        byte[] large = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 3000, true);
        raw.send(large, RawVif.CSUM_BLANK, List.of(RawVif.gsoExtra(1, 1000)), 1000, 2054);
        raw.awaitTx(3);
        assertEquals(OKAY, raw.txStatus(0));
        assertEquals(NULL, raw.txStatus(1));
        assertEquals(OKAY, raw.txStatus(2));
        assertEquals(101, raw.txId(2));
        assertArrayEquals(large, neighbour.awaitFrame().bytes());
    }

    // Headers in pieces.

    @Test
    void h043_headersMayBeCutAnywhere() {
        List<byte[]> packets = new ArrayList<>();
        for (int protocol : new int[] {6, 17}) {
            packets.add(Packets.ip4(Packets.mac(2), Packets.mac(1), protocol, 200, true));
            packets.add(Packets.ip6(Packets.mac(2), Packets.mac(1), protocol, 200, true));
        }
        int answered = 0;
        for (byte[] packet : packets) {
            for (int first = 1; first <= 128; first++) {
                raw.send(
                        packet,
                        RawVif.CSUM_BLANK | RawVif.DATA_VALIDATED,
                        List.of(),
                        first,
                        packet.length - first);
                answered += 2;
                raw.awaitTx(answered);
                assertEquals(OKAY, raw.txStatus(answered - 1), "cut at " + first);
                VifLab.Seen seen = neighbour.awaitFrame();
                assertArrayEquals(packet, seen.bytes(), "cut at " + first);
                assertEquals(FrameChecksum.PARTIAL, seen.checksum());
            }
        }
    }

    @Test
    void h044_manySmallSlotsOfAShortFrame() {
        int answered = 0;
        for (int slots = 1; slots <= 18; slots++) {
            for (int each = 1; each <= 7; each++) {
                int first = Math.max(14, 60 - (slots - 1) * each);
                int[] pieces = new int[slots];
                Arrays.fill(pieces, each);
                pieces[0] = first;
                byte[] sent = frame(first + (slots - 1) * each);
                raw.send(sent, 0, List.of(), pieces);
                answered += slots;
                raw.awaitTx(answered);
                assertArrayEquals(sent, neighbour.awaitFrame().bytes(), slots + " of " + each);
            }
        }
    }

    // Slots of nothing.

    @Test
    void h045_slotsOfNothingAreAnsweredAndTheirReferenceIsNotLookedAt() {
        byte[] sent = frame(300);
        for (int empty = 0; empty < 4; empty++) {
            int answered = raw.tx.rspProd();
            int[] pieces = {100, 100, 100};
            List<MemorySegment> slots = raw.slots(sent, 0, List.of(), pieces);
            slots.get(0).set(ValueLayout.JAVA_SHORT, 6, (short) RawVif.MORE_DATA);
            slots.get(2).set(ValueLayout.JAVA_SHORT, 6, (short) RawVif.MORE_DATA);
            int place = empty;
            MemorySegment nothing = RawVif.txSlot(0x7FFF_FFFF, 4096, RawVif.MORE_DATA, 55, 0);
            if (place == 0) { // the first slot is of nothing: its size is that of all
                nothing = RawVif.txSlot(0xDEAD_BEEF, 4096, RawVif.MORE_DATA, 55, 300);
                slots.get(0).set(ValueLayout.JAVA_SHORT, 10, (short) 100);
            }
            if (place == 3) {
                nothing.set(ValueLayout.JAVA_SHORT, 6, (short) 0);
            } else {
                slots.get(2).set(ValueLayout.JAVA_SHORT, 6, (short) 0);
            }
            slots.add(place, nothing);
            for (MemorySegment slot : slots) {
                raw.tx.publish(slot);
            }
            raw.tx.kick(1);
            raw.awaitTx(answered + 4);
            for (int i = 0; i < 4; i++) {
                assertEquals(OKAY, raw.txStatus(answered + i), "empty slot " + place);
            }
            assertArrayEquals(sent, neighbour.awaitFrame().bytes());
        }
    }

    @Test
    void h045_aFrameOfNothingButEmptySlotsIsDropped() {
        raw.tx.publish(RawVif.txSlot(1, 0, RawVif.MORE_DATA, 1, 0));
        raw.tx.publish(RawVif.txSlot(2, 0, RawVif.MORE_DATA, 2, 0));
        raw.tx.publish(RawVif.txSlot(3, 0, 0, 3, 0));
        raw.tx.kick(1);
        raw.awaitTx(3);
        assertEquals(ERROR, raw.txStatus(0));
        goesOn();
    }

    // References.

    @Test
    void h023_everyPatternOfBadReferencesIsUndone() {
        int mapped = lab.hypervisor.mappedTotal();
        int answered = 0;
        for (int pattern = 0; pattern < 32; pattern++) {
            int[] pieces = {300, 300, 300, 300, 300};
            List<MemorySegment> slots = raw.slots(frame(1500), 0, List.of(), pieces);
            for (int i = 0; i < 5; i++) {
                if ((pattern & 1 << i) != 0) {
                    slots.get(i).set(ValueLayout.JAVA_INT, 0, i % 2 == 0 ? 0x7FFF_FFFF : -1);
                }
                raw.tx.publish(slots.get(i));
            }
            raw.tx.kick(1);
            answered += 5;
            raw.awaitTx(answered);
            for (int i = 1; i <= 5; i++) {
                assertEquals(pattern == 0 ? OKAY : ERROR, raw.txStatus(answered - i));
            }
            assertEquals(mapped, lab.hypervisor.mappedTotal(), "pattern " + pattern);
        }
        assertEquals(31, lab.metrics(1).txGrantErrors());
        neighbour.received.clear();
        goesOn();
    }

    // Indices.

    @Test
    void h001_impossibleIndicesCloseTheVif() throws Exception {
        raw.tx.claimTooMuch();
        raw.tx.kick(1);
        raw.awaitFatal("req_prod");
    }

    @Test
    void h006_responsesThatNobodyTakesBoundWhatIsUnderWay() {
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < raw.tx.entries(); i++) {
                raw.tx.publish(RawVif.txSlot(raw.data.gref(0), 0, 0, i, 60));
            }
            raw.tx.kick(1);
            raw.awaitTx((round + 1) * raw.tx.entries());
        }
    }

    @Test
    void h040_h041_aBrokenQueueStopsEverythingOnceAndTeardownFindsNothingRunning()
            throws Exception {
        raw.offerRx(16);
        // Fatal, while frames for it are under way, and again after it has been closed.
        for (int i = 0; i < 30; i++) {
            neighbour.send(Packets.frame(Packets.broadcast(), Packets.mac(2), 60));
        }
        raw.tx.publishAndKick(RawVif.txSlot(1, 4096, 0, 1, 60));
        for (int i = 0; i < 30; i++) {
            neighbour.send(Packets.frame(Packets.broadcast(), Packets.mac(2), 60));
        }
        raw.tx.kick(100);
        raw.rx.kick(100);
        raw.awaitFatal("crosses");
        raw.tx.publishAndKick(RawVif.txSlot(1, 4096, 0, 1, 60));
        lab.settle();
        raw.state("1");
        lab.awaitBackend(1, "2");
        raw.restart();
        raw.connect();
        neighbour.received.clear();
        goesOn();
    }

    @Test
    void h041_closingAndThenAFatalFrame() throws Exception {
        raw.state("5");
        raw.tx.publishAndKick(RawVif.txSlot(1, 4096, 0, 1, 60));
        raw.state("6");
        lab.awaitBackend(1, "6");
        lab.settle();
        assertEquals(lab.mappedByOthers, lab.hypervisor.mappedTotal());
    }

    // Offloads.

    @Test
    void h051_aBlankChecksumOfWhatHasNoneIsDropped() {
        raw.send(frame(100), RawVif.CSUM_BLANK, List.of(), 100);
        raw.awaitTx(1);
        assertEquals(ERROR, raw.txStatus(0));
        assertEquals(1, lab.metrics(1).txChecksumErrors());
        goesOn();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 127})
    void h051_segmentsOfAFewBytesAreNotMadeOfALargeFrame(int size) {
        byte[] large = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 3000, true);
        raw.send(large, RawVif.CSUM_BLANK, List.of(RawVif.gsoExtra(1, size)), 1000, 2054);
        raw.awaitTx(3);
        lab.settle();
        assertEquals(List.of(), neighbour.received);
        goesOn();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void h051_aLargeFrameThatIsNoTcpOfItsFamilyIsDropped(int type) {
        byte[] other =
                type == 1
                        ? Packets.ip6(Packets.mac(2), Packets.mac(1), 6, 3000, true)
                        : Packets.ip4(Packets.mac(2), Packets.mac(1), 17, 3000, true);
        raw.send(
                other,
                RawVif.CSUM_BLANK,
                List.of(RawVif.gsoExtra(type, 1000)),
                1000,
                other.length - 1000);
        raw.awaitTx(3);
        lab.settle();
        assertEquals(List.of(), neighbour.received);
        goesOn();
    }

    @Test
    void aLargeSegmentWithoutABlankChecksumIsMended() {
        byte[] large = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 3000, false);
        raw.send(large, 0, List.of(RawVif.gsoExtra(1, 1000)), 1000, 2054);
        raw.awaitTx(3);
        VifLab.Seen seen = neighbour.awaitFrame();
        assertEquals(FrameChecksum.PARTIAL, seen.checksum());
        assertArrayEquals(Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 3000, true), seen.bytes());
        assertEquals(1, lab.metrics(1).txGsoChecksumFixup());
    }

    // Anything at all.

    @Test
    void h008_responsesWriteTheirFieldsAndNothingElse() {
        MemorySegment slot = RawVif.txSlot(raw.data.gref(0), 0, 0, 7, 60);
        MemorySegment.copy(MemorySegment.ofArray(frame(60)), 0, raw.data.memory(), 0, 60);
        raw.tx.publishAndKick(slot);
        raw.awaitTx(1);
        MemorySegment after = raw.tx.slot(0);
        assertEquals(7, after.get(ValueLayout.JAVA_SHORT, 0));
        assertEquals(0, after.get(ValueLayout.JAVA_SHORT, 2));
        for (int i = 4; i < 12; i++) {
            assertEquals(slot.get(ValueLayout.JAVA_BYTE, i), after.get(ValueLayout.JAVA_BYTE, i));
        }
    }

    /// Slots that change while they are served: each frame is one of the two, and each slot is
    /// answered once.
    @Test
    void h004_slotsChangedAfterTheyWerePublishedChangeNothingThatWasChecked() throws Exception {
        SplittableRandom random = new SplittableRandom(lab.sim.seed());
        for (int round = 0; round < 300; round++) {
            int answered = raw.tx.rspProd();
            MemorySegment slot = RawVif.txSlot(raw.data.gref(0), 0, 0, round, 200);
            int index = raw.tx.publish(slot);
            raw.tx.kick(1);
            for (int step = random.nextInt(8); step > 0; step--) {
                lab.sim.step();
            }
            raw.tx.slot(index).set(ValueLayout.JAVA_SHORT, 10, (short) random.nextInt(60, 300));
            raw.tx.slot(index).set(ValueLayout.JAVA_SHORT, 8, (short) round);
            raw.awaitTx(answered + 1);
            assertTrue(raw.txStatus(answered) <= 0, "status " + raw.txStatus(answered));
        }
        assertEquals("4", lab.backendState(1));
    }
}
