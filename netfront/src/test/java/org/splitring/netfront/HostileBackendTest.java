package org.splitring.netfront;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.FrontRing;
import org.splitring.ring.RingBrokenException;
import org.splitring.testkit.HostileBackend;
import org.splitring.xenbus.device.GrantedPages;

/// Both rings of a frontend against a backend that keeps no rules. Responses are written byte by
/// byte.
class HostileBackendTest {
    private static final int MORE_DATA = 4;
    private static final int EXTRA_INFO = 8;

    private final LocalGuestDomain guest =
            new LocalHypervisor().createGuest(new DomId(1), 8 << 20, DomainLimits.DEFAULT);
    private final List<byte[]> received = new ArrayList<>();
    private final List<FrameSegmentation> segmentations = new ArrayList<>();
    private final VifCounters counters = new VifCounters();
    private final VifUser user =
            new VifUser() {
                @Override
                public void received(ReceivedFrame frame) {
                    byte[] bytes = new byte[frame.sizeBytes()];
                    frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
                    received.add(bytes);
                    segmentations.add(frame.segmentation());
                }
            };
    private final List<GrantedPages> pages = new ArrayList<>();
    private EventChannel channel;
    private TxRing tx;
    private RxRing rx;
    private HostileBackend txBack;
    private HostileBackend rxBack;
    private MemorySegment rxPages;

    @BeforeEach
    void make() throws Exception {
        channel = guest.eventChannels().allocUnbound(DomId.ZERO);
        MemorySegment memory = guest.memory().segment();
        GrantedPages txPage = grant(1);
        GrantedPages rxPage = grant(1);
        FrontRing txRing = FrontRing.init(txPage.memory(), 12);
        FrontRing rxRing = FrontRing.init(rxPage.memory(), 8);
        GrantedPages txData = grant(256);
        GrantedPages rxData = grant(256);
        tx =
                new TxRing(
                        txRing,
                        channel,
                        txData,
                        memory,
                        txData.memory().address() - memory.address(),
                        0,
                        65535,
                        user,
                        counters);
        rxPages = rxData.memory();
        rx =
                new RxRing(
                        rxRing,
                        channel,
                        rxData,
                        memory,
                        rxPages.address() - memory.address(),
                        0,
                        user,
                        counters);
        rx.fill();
        txBack = new HostileBackend(txPage.memory(), 12, channel, 0);
        rxBack = new HostileBackend(rxPage.memory(), 8, channel, 0);
    }

    private GrantedPages grant(int count) throws Exception {
        GrantedPages made = GrantedPages.grant(guest, DomId.ZERO, count, false);
        pages.add(made);
        return made;
    }

    @AfterEach
    void giveBack() {
        channel.close();
        pages.forEach(GrantedPages::close);
        guest.close();
    }

    private void send(int size) {
        TxFrame frame = tx.acquire(size);
        assertNotNull(frame);
        frame.append(MemorySegment.ofArray(new byte[size]), 0, size);
        frame.send();
        tx.flush();
    }

    private static MemorySegment txResponse(int id, int status) {
        MemorySegment slot = Arena.ofAuto().allocate(12, 4);
        slot.set(ValueLayout.JAVA_SHORT, 0, (short) id);
        slot.set(ValueLayout.JAVA_SHORT, 2, (short) status);
        return slot.asSlice(0, 4);
    }

    private static MemorySegment rxResponse(int id, int offset, int flags, int status) {
        MemorySegment slot = Arena.ofAuto().allocate(8, 8);
        slot.set(ValueLayout.JAVA_SHORT, 0, (short) id);
        slot.set(ValueLayout.JAVA_SHORT, 2, (short) offset);
        slot.set(ValueLayout.JAVA_SHORT, 4, (short) flags);
        slot.set(ValueLayout.JAVA_SHORT, 6, (short) status);
        return slot;
    }

    private static MemorySegment gso(int type, int size) {
        MemorySegment slot = Arena.ofAuto().allocate(8, 8);
        slot.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
        slot.set(ValueLayout.JAVA_SHORT, 2, (short) size);
        slot.set(ValueLayout.JAVA_BYTE, 4, (byte) type);
        return slot;
    }

    /// Takes the responses that are there, as before a connection ends.
    private void reap() {
        tx.pause(() -> {});
        tx.poll(64);
    }

    /// Sends until there is no room.
    private @Nullable TxFrame exhaust() {
        TxFrame frame = null;
        for (int i = 0; i < 400; i++) {
            frame = tx.acquire(4096);
            if (frame == null) {
                return null;
            }
            frame.append(MemorySegment.ofArray(new byte[14]), 0, 14);
            frame.send();
        }
        return frame;
    }

    private int idOfRequest(int index) {
        return txBack.slot(index).get(ValueLayout.JAVA_SHORT, 8) & 0xFFFF;
    }

    @ParameterizedTest
    @ValueSource(ints = {200, 256, 65535})
    void h007_anIdThatWasNeverSentBreaksTheDevice(int id) {
        send(60);
        txBack.publish(txResponse(id, 0));
        assertThrows(VifBrokenException.class, this::reap);
    }

    @Test
    void h007_anIdThatIsAnsweredTwiceBreaksTheDevice() {
        send(60);
        send(60);
        int id = idOfRequest(0);
        txBack.publish(txResponse(id, 0));
        txBack.publish(txResponse(id, 0));
        assertThrows(VifBrokenException.class, this::reap);
    }

    @Test
    void h007_moreResponsesThanRequestsBreakTheRing() {
        send(60);
        txBack.answerTooMuch();
        assertThrows(RingBrokenException.class, this::reap);
        rxBack.rspProd(257);
        assertThrows(RingBrokenException.class, () -> rx.poll(64));
    }

    /// With a backend that answers in order, as all do: a reader into the pages names one piece.
    @Test
    void pagesOfAFrameLieSideBySideAlsoAfterMany() {
        int apart = 0;
        for (int i = 0; i < 600; i++) {
            TxFrame frame = tx.acquire(65535);
            assertNotNull(frame);
            for (int page = 1; page < frame.pages(); page++) {
                apart += frame.offset(page) == frame.offset(page - 1) + 4096 ? 0 : 1;
            }
            frame.send(60);
            tx.flush();
            if (i > 100) {
                txBack.publish(txResponse(idOfRequest((i - 101) & 255), 0));
            }
        }
        assertTrue(apart <= 600 / 256 * 16 + 16, apart + " pages do not follow the one before");
    }

    @Test
    void aBackendThatAnswersNothingHoldsUpTheSenderOnly() {
        assertNull(exhaust());
        assertNull(tx.acquire(60));
        tx.flush();
        for (int i = 0; i < 256; i++) {
            int id = idOfRequest(i);
            if (i < txBack.reqProd()) {
                txBack.publish(txResponse(id, i % 2 == 0 ? 0 : -1));
            }
        }
        assertNotNull(tx.acquire(60));
        assertTrue(counters.txErrors.get() > 100, counters.txErrors.toString());
    }

    @ParameterizedTest
    @CsvSource({
        "0, -1",
        "0, -32768",
        "4096, 60",
        "65535, 60",
        "4000, 97",
        "0, 4097",
        "65535, 32767",
        "0, 13",
        "0, 0"
    })
    void aFrameThatIsNotInItsPageIsDropped(int offset, int status) {
        rxBack.publish(rxResponse(0, offset, 0, status));
        rx.poll(64);
        assertEquals(List.of(), received);
        assertEquals(1, counters.rxErrors.get());
        works(1);
    }

    /// Everything goes on, and the pages are all there.
    private void works(int index) {
        MemorySegment page = rxPages.asSlice((index & 255) * 4096L, 4096);
        page.fill((byte) index);
        rxBack.publish(rxResponse(77, 10, 0, 100));
        rx.poll(64);
        byte[] expected = new byte[100];
        Arrays.fill(expected, (byte) index);
        assertArrayEquals(expected, received.removeLast());
        assertEquals(rxBack.rspProd() + 256, rxBack.reqProd(), "each page is offered again");
    }

    @Test
    void aFrameWithoutEndIsDroppedAndItsPagesComeBack() {
        for (int i = 0; i < 3 * 256; i++) {
            rxBack.publish(rxResponse(0, 0, MORE_DATA, 100));
            rx.poll(64);
        }
        assertEquals(List.of(), received);
        rxBack.publish(rxResponse(0, 0, 0, 100));
        rx.poll(64);
        assertEquals(1, counters.rxErrors.get());
        works(3 * 256 + 1);
    }

    @Test
    void aFrameMayComeInPartsOverSeveralPasses() {
        for (int i = 0; i < 17; i++) {
            rxPages.asSlice(i * 4096L, 4096).fill((byte) i);
            rxBack.publish(rxResponse(0, 0, MORE_DATA, 3000));
            assertEquals(0, rx.poll(64));
        }
        rxBack.publish(rxResponse(0, 0, 0, 3000));
        assertEquals(1, rx.poll(64));
        byte[] whole = received.removeLast();
        assertEquals(18 * 3000, whole.length);
        for (int i = 0; i < 17; i++) {
            assertEquals(i, whole[i * 3000 + 2999]);
        }
        works(18);
    }

    @ParameterizedTest
    @CsvSource({"0, 1400", "3, 1400", "1, 0"})
    void aLargeSegmentThatIsNoneIsDropped(int type, int size) {
        rxBack.publish(rxResponse(0, 0, EXTRA_INFO | 3, 100));
        rxBack.publish(gso(type, size));
        rx.poll(64);
        assertEquals(List.of(), received);
        works(2);
    }

    @Test
    void extrasWithoutEndAreDropped() {
        rxBack.publish(rxResponse(0, 0, EXTRA_INFO, 100));
        for (int i = 0; i < 600; i++) {
            MemorySegment extra = gso(1, 1400);
            extra.set(ValueLayout.JAVA_BYTE, 1, (byte) 1);
            rxBack.publish(extra);
            rx.poll(64);
        }
        assertEquals(List.of(), received);
    }

    /// Also when the frame is fine otherwise: a page for each slot, for ever.
    @Test
    void h049_pagesAreAllThereAfterManyFrames() {
        SplittableRandom random = new SplittableRandom(7);
        int published = 0;
        for (int i = 0; i < 200_000; i++) {
            int kind = random.nextInt(4);
            if (kind == 0) {
                rxBack.publish(rxResponse(0, 0, MORE_DATA, 4096));
                published++;
            } else if (kind == 1) {
                rxBack.publish(rxResponse(0, 0, EXTRA_INFO | 2, 200));
                rxBack.publish(rxResponse(2, 0, 0, 0)); // an extra of another type
                published += 2;
            }
            rxBack.publish(rxResponse(0, 0, 0, random.nextInt(-2, 200)));
            published++;
            rx.poll(64);
            assertEquals(published + 256, rxBack.reqProd());
            received.clear();
        }
    }

    @Test
    void aLargeSegmentWithoutAPartialChecksumIsMended() {
        byte[] packet = new byte[14 + 20 + 20 + 100];
        packet[12] = 8;
        packet[14] = 0x45;
        packet[17] = (byte) (packet.length - 14);
        packet[23] = 6;
        packet[26] = 10;
        packet[29] = 1;
        packet[30] = 10;
        packet[33] = 2;
        packet[46] = 0x50;
        MemorySegment.copy(MemorySegment.ofArray(packet), 0, rxPages, 0, packet.length);
        rxBack.publish(rxResponse(0, 0, EXTRA_INFO, packet.length));
        rxBack.publish(gso(1, 50));
        rx.poll(64);
        assertEquals(1, counters.rxGsoChecksumFixup.get());
        byte[] mended = received.removeLast();
        // 0x0a00 + 1 + 0x0a00 + 2 + 6 + 120: the pseudo header by hand.
        assertEquals(
                0x0a00 + 1 + 0x0a00 + 2 + 6 + 120,
                ((mended[50] & 0xFF) << 8) | (mended[51] & 0xFF));
        assertEquals(FrameSegmentation.TCPV4, segmentations.getLast());
    }
}
