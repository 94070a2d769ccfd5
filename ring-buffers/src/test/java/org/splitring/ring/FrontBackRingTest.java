package org.splitring.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Both ends over one segment, in one thread; most start at index -2, so that they wrap.
class FrontBackRingTest {
    private static final int ENTRY = 112;
    private static final int START = -2;

    private final MemorySegment page = Arena.ofAuto().allocate(4096, 4096);
    private final MemorySegment copy = Arena.ofAuto().allocate(ENTRY, 8);

    private FrontRing front;
    private BackRing back;

    FrontBackRingTest() {
        startAt(START);
    }

    private void startAt(int index) {
        SringLayout.REQ_PROD.set(page, index);
        SringLayout.RSP_PROD.set(page, index);
        SringLayout.REQ_EVENT.set(page, index + 1);
        SringLayout.RSP_EVENT.set(page, index + 1);
        front = FrontRing.attach(page, ENTRY, index);
        back = BackRing.attach(page, ENTRY, index);
    }

    private void takeRequests(int count) {
        for (int i = 0; i < count; i++) {
            front.slot(front.takeRequestIndex()).set(ValueLayout.JAVA_INT, 0, 1000 + i);
        }
    }

    private void answer(int count) {
        assertEquals(count, back.unconsumedRequests());
        for (int i = 0; i < count; i++) {
            back.copyRequest(copy);
        }
        for (int i = 0; i < count; i++) {
            back.slot(back.takeResponseIndex()).set(ValueLayout.JAVA_INT, 0, 2000 + i);
        }
    }

    @Test
    void initMakesTheEmptyRingOfTheHeader() {
        page.fill((byte) 0xA5);
        FrontRing.init(page, ENTRY);
        assertEquals(0, (int) SringLayout.REQ_PROD.get(page));
        assertEquals(1, (int) SringLayout.REQ_EVENT.get(page));
        assertEquals(0, (int) SringLayout.RSP_PROD.get(page));
        assertEquals(1, (int) SringLayout.RSP_EVENT.get(page));
        for (int i = 16; i < 64; i++) {
            assertEquals(0, page.get(ValueLayout.JAVA_BYTE, i), "pad byte " + i);
        }
        for (int i = 64; i < 4096; i++) {
            assertEquals((byte) 0xA5, page.get(ValueLayout.JAVA_BYTE, i), "entry byte " + i);
        }
    }

    @Test
    void whatWasCountedIsTakenWithoutAnotherLook() {
        takeRequests(5);
        front.pushRequestsAndCheckNotify();
        assertEquals(0, back.countedRequests());
        assertEquals(5, back.unconsumedRequests());
        back.consumeRequestIndices(3);
        takeRequests(4);
        front.pushRequestsAndCheckNotify();
        assertEquals(2, back.countedRequests(), "those of the last look, without what came since");
        back.consumeRequestIndices(2);
        assertEquals(0, back.countedRequests());
        assertThrows(IllegalStateException.class, back::consumeRequestIndex);
        assertEquals(4, back.unconsumedRequests());
    }

    @Test
    void backNeverInitialisesSharedMemory() {
        page.fill((byte) 0x5A);
        BackRing.init(page, ENTRY);
        BackRing.attach(page, ENTRY, 77);
        for (int i = 0; i < 4096; i++) {
            assertEquals((byte) 0x5A, page.get(ValueLayout.JAVA_BYTE, i), "byte " + i);
        }
    }

    @Test
    void attachResetsNothing() {
        page.fill((byte) 0x5A);
        FrontRing.attach(page, ENTRY, 0xFFFFFFF0);
        for (int i = 0; i < 4096; i++) {
            assertEquals((byte) 0x5A, page.get(ValueLayout.JAVA_BYTE, i), "byte " + i);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "0, 112, 32", "1, 112, 64", "2, 112, 128", "3, 112, 256", "4, 112, 512",
        "0, 108, 32", "4, 108, 512", "0, 12, 256", "0, 8, 256", "1, 12, 512",
        "0, 4032, 1", "0, 2016, 2", "0, 1, 2048", "4, 1, 32768", "0, 16, 128"
    })
    void entriesAreTheLargestPowerOfTwoThatFits(int order, int entrySize, int entries) {
        assertEquals(entries, SringLayout.entries(4096L << order, entrySize));
        MemorySegment ring = Arena.ofAuto().allocate(4096L << order, 4096);
        FrontRing big = FrontRing.init(ring, entrySize);
        assertEquals(entries, big.entries());
        assertEquals(entries, BackRing.init(ring, entrySize).entries());
        assertEquals(64, big.slotOffset(0));
        assertEquals(64 + (long) (entries - 1) * entrySize, big.slotOffset(-1));
        assertEquals(entrySize, big.slot(-1).byteSize());
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 4095, 4097, 3 * 4096, 5 * 4096, 32 * 4096, 1L << 32, 1L << 62})
    void h010_ringOfAnotherSizeIsRefused(long sizeBytes) {
        assertThrows(IllegalArgumentException.class, () -> SringLayout.entries(sizeBytes, ENTRY));
        if (sizeBytes <= 32 * 4096) {
            MemorySegment ring = Arena.ofAuto().allocate(sizeBytes, 4096);
            assertThrows(IllegalArgumentException.class, () -> FrontRing.init(ring, ENTRY));
            assertThrows(IllegalArgumentException.class, () -> FrontRing.attach(ring, ENTRY, 0));
            assertThrows(IllegalArgumentException.class, () -> BackRing.init(ring, ENTRY));
            assertThrows(IllegalArgumentException.class, () -> BackRing.attachLive(ring, ENTRY));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, Integer.MIN_VALUE, 4033, Integer.MAX_VALUE})
    void h010_entrySizeThatDoesNotFitIsRefused(int entrySize) {
        assertThrows(IllegalArgumentException.class, () -> FrontRing.init(page, entrySize));
        assertThrows(IllegalArgumentException.class, () -> BackRing.init(page, entrySize));
    }

    @Test
    void h010_memoryThatIsNotFitForARingIsRefused() {
        MemorySegment heap = MemorySegment.ofArray(new byte[4096]);
        MemorySegment readOnly = page.asReadOnly();
        MemorySegment crooked = Arena.ofAuto().allocate(8192, 4096).asSlice(2, 4096);
        for (MemorySegment ring : new MemorySegment[] {heap, readOnly, crooked}) {
            assertThrows(IllegalArgumentException.class, () -> FrontRing.init(ring, ENTRY));
            assertThrows(IllegalArgumentException.class, () -> BackRing.init(ring, ENTRY));
        }
    }

    @Test
    void requestsAndResponsesPassThroughAcrossTheWrap() {
        for (int round = 0; round < 100; round++) {
            takeRequests(3);
            assertEquals(0, back.unconsumedRequests(), "not before the push");
            front.pushRequestsAndCheckNotify();
            assertEquals(3, back.unconsumedRequests());
            for (int i = 0; i < 3; i++) {
                back.copyRequest(copy);
                assertEquals(1000 + i, copy.get(ValueLayout.JAVA_INT, 0));
                back.slot(back.takeResponseIndex()).set(ValueLayout.JAVA_INT, 0, 2000 + i);
            }
            assertEquals(0, front.unconsumedResponses());
            back.pushResponsesAndCheckNotify();
            assertEquals(3, front.unconsumedResponses());
            for (int i = 0; i < 3; i++) {
                front.copyResponse(copy);
                assertEquals(2000 + i, copy.get(ValueLayout.JAVA_INT, 0));
            }
            assertEquals(32, front.freeRequests());
        }
    }

    @Test
    void fullRingTakesNoMoreRequests() {
        takeRequests(32);
        assertTrue(front.isFull());
        assertEquals(0, front.freeRequests());
        assertThrows(IllegalStateException.class, front::takeRequestIndex);
        front.pushRequestsAndCheckNotify();
        answer(32);
        back.pushResponsesAndCheckNotify();
        assertEquals(32, front.unconsumedResponses());
        assertTrue(front.isFull(), "answered, but not yet consumed");
        front.copyResponse(copy);
        assertFalse(front.isFull());
        assertEquals(1, front.freeRequests());
    }

    @Test
    void nothingIsTakenThatWasNotCounted() {
        takeRequests(2);
        front.pushRequestsAndCheckNotify();
        assertThrows(IllegalStateException.class, () -> back.copyRequest(copy));
        assertEquals(2, back.unconsumedRequests());
        back.copyRequest(copy);
        back.copyRequest(copy);
        assertThrows(IllegalStateException.class, () -> back.copyRequest(copy));
        assertEquals(2, back.unansweredRequests());
        back.takeResponseIndex();
        back.takeResponseIndex();
        assertThrows(IllegalStateException.class, back::takeResponseIndex);
        back.pushResponsesAndCheckNotify();
        assertThrows(IllegalStateException.class, () -> front.copyResponse(copy));
    }

    @Test
    void pushNotifiesOnlyWhenReqEventWasCrossed() {
        takeRequests(1);
        assertTrue(front.pushRequestsAndCheckNotify(), "event stands at the next request");
        takeRequests(1);
        assertFalse(front.pushRequestsAndCheckNotify(), "the backend has not asked again");
        answer(2);
        assertFalse(back.finalCheckForRequests());
        takeRequests(5);
        assertTrue(front.pushRequestsAndCheckNotify());
        assertFalse(front.pushRequestsAndCheckNotify(), "nothing new");
    }

    @Test
    void pushNotifiesOnlyWhenRspEventWasCrossed() {
        takeRequests(10);
        front.pushRequestsAndCheckNotify();
        for (int i = back.unconsumedRequests(); i > 0; i--) {
            back.copyRequest(copy);
        }
        back.takeResponseIndex();
        assertTrue(back.pushResponsesAndCheckNotify());
        back.takeResponseIndex();
        assertFalse(back.pushResponsesAndCheckNotify());
        assertEquals(2, front.unconsumedResponses());
        front.copyResponse(copy);
        assertTrue(front.finalCheckForResponses(), "one is still there");
        front.copyResponse(copy);
        assertFalse(front.finalCheckForResponses());
        for (int i = 0; i < 8; i++) {
            back.takeResponseIndex();
        }
        assertTrue(back.pushResponsesAndCheckNotify(), "event crossed within the batch");
        assertTrue(front.finalCheckForResponses());
    }

    @Test
    void whoNeedsSeveralAtOnceIsWokenWhenTheyAreThere() {
        takeRequests(2);
        front.pushRequestsAndCheckNotify();
        assertFalse(back.finalCheckForRequests(4), "two are not four");
        takeRequests(1);
        assertFalse(front.pushRequestsAndCheckNotify(), "three neither");
        takeRequests(1);
        assertTrue(front.pushRequestsAndCheckNotify());
        assertTrue(back.finalCheckForRequests(4));
        back.copyRequest(copy);
        back.takeResponseIndex();
        assertTrue(back.pushResponsesAndCheckNotify());
        assertFalse(front.finalCheckForResponses(3), "one is not three");
        for (int i = 0; i < 3; i++) {
            back.copyRequest(copy);
        }
        back.takeResponseIndex();
        assertFalse(back.pushResponsesAndCheckNotify(), "two neither");
        back.takeResponseIndex();
        assertTrue(back.pushResponsesAndCheckNotify());
        assertTrue(front.finalCheckForResponses(3));
    }

    @Test
    void finalCheckLeavesTheEventAloneWhileThereIsWork() {
        takeRequests(1);
        front.pushRequestsAndCheckNotify();
        SringLayout.REQ_EVENT.set(page, 12345);
        assertTrue(back.finalCheckForRequests());
        assertEquals(12345, (int) SringLayout.REQ_EVENT.get(page));
        answer(1);
        assertFalse(back.finalCheckForRequests());
        assertEquals(START + 2, (int) SringLayout.REQ_EVENT.get(page));
    }

    @Test
    void ownProducersAreNotReadBack() {
        takeRequests(1);
        front.pushRequestsAndCheckNotify();
        answer(1);
        back.pushResponsesAndCheckNotify();
        // The peer writes into both what they will be next: read back, the next push would seem to
        // publish nothing and would not notify.
        SringLayout.REQ_PROD.set(page, START + 2);
        SringLayout.RSP_PROD.set(page, START + 2);
        SringLayout.REQ_EVENT.set(page, START + 2);
        takeRequests(1);
        assertTrue(front.pushRequestsAndCheckNotify());
        assertEquals(START + 2, (int) SringLayout.REQ_PROD.get(page));
        answer(1);
        SringLayout.REQ_PROD.set(page, 0x12345678);
        takeRequests(1);
        front.pushRequestsAndCheckNotify();
        assertEquals(START + 3, (int) SringLayout.REQ_PROD.get(page), "published anew");
        SringLayout.RSP_EVENT.set(page, START + 2);
        assertTrue(back.pushResponsesAndCheckNotify());
        assertEquals(START + 2, (int) SringLayout.RSP_PROD.get(page));
        assertEquals(2, front.unconsumedResponses());
    }

    @Test
    void anotherBackendGoesOnWhereTheFirstStopped() {
        takeRequests(20);
        front.pushRequestsAndCheckNotify();
        assertEquals(20, back.unconsumedRequests());
        for (int i = 0; i < 12; i++) {
            back.copyRequest(copy);
        }
        for (int i = 0; i < 5; i++) {
            back.takeResponseIndex();
        }
        back.pushResponsesAndCheckNotify();
        BackRing second = BackRing.attachLive(page, ENTRY);
        assertEquals(15, second.unconsumedRequests(), "taken and not answered is taken again");
        second.copyRequest(copy);
        assertEquals(1005, copy.get(ValueLayout.JAVA_INT, 0));
        second.takeResponseIndex();
        second.pushResponsesAndCheckNotify();
        assertEquals(6, front.unconsumedResponses());
    }

    @Test
    void anotherFrontEndGoesOnWithRequestsOutstanding() {
        takeRequests(20);
        front.pushRequestsAndCheckNotify();
        answer(20);
        back.pushResponsesAndCheckNotify();
        FrontRing second = FrontRing.attach(page, ENTRY, START + 20, START + 5);
        assertEquals(15, second.unconsumedResponses());
        assertEquals(17, second.freeRequests());
        assertThrows(
                IllegalArgumentException.class,
                () -> FrontRing.attach(page, ENTRY, START + 20, START - 13));
        assertThrows(
                IllegalArgumentException.class,
                () -> FrontRing.attach(page, ENTRY, START, START + 1));
    }

    @Test
    void attachLiveRefusesMoreRequestsThanSlots() {
        SringLayout.REQ_PROD.set(page, START + 33);
        assertThrows(RingBrokenException.class, () -> BackRing.attachLive(page, ENTRY));
        SringLayout.REQ_PROD.set(page, START + 32);
        assertEquals(32, BackRing.attachLive(page, ENTRY).unconsumedRequests());
    }

    @Test
    void wholeBatchesMoveAsSinglesDo() {
        assertEquals(START, front.takeRequestIndices(3));
        assertEquals(29, front.freeRequests());
        front.pushRequestsAndCheckNotify();
        assertEquals(3, back.unconsumedRequests());
        assertEquals(START, back.consumeRequestIndices(3));
        assertEquals(0, back.unconsumedRequests());
        assertEquals(START, back.takeResponseIndices(3));
        back.pushResponsesAndCheckNotify();
        assertEquals(3, front.unconsumedResponses());
        assertEquals(START, front.consumeResponseIndices(3));
        assertEquals(32, front.freeRequests());
        assertEquals(START + 3, front.takeRequestIndex());
    }

    @Test
    void noBatchIsLargerThanWhatIsThere() {
        assertThrows(IllegalStateException.class, () -> front.takeRequestIndices(33));
        assertThrows(IllegalStateException.class, () -> front.takeRequestIndices(-1));
        front.takeRequestIndices(2);
        front.pushRequestsAndCheckNotify();
        back.unconsumedRequests();
        assertThrows(IllegalStateException.class, () -> back.consumeRequestIndices(3));
        assertThrows(IllegalStateException.class, () -> back.consumeRequestIndices(-1));
        back.consumeRequestIndices(2);
        assertThrows(IllegalStateException.class, () -> back.takeResponseIndices(3));
        assertThrows(IllegalStateException.class, () -> back.takeResponseIndices(-1));
        back.takeResponseIndices(2);
        back.pushResponsesAndCheckNotify();
        front.unconsumedResponses();
        assertThrows(IllegalStateException.class, () -> front.consumeResponseIndices(3));
        assertThrows(IllegalStateException.class, () -> front.consumeResponseIndices(-1));
        front.consumeResponseIndices(2);
        assertEquals(32, front.freeRequests());
    }

    @Test
    void slotsToEndAreThoseThatFollowEachOtherInMemory() {
        for (int index = START; index != START + 70; index++) {
            int run = front.slotsToEnd(index);
            assertEquals(run, back.slotsToEnd(index));
            long here = front.slotOffset(index);
            assertEquals(here + (run - 1L) * 112, front.slotOffset(index + run - 1));
            assertEquals(front.slotOffset(0), front.slotOffset(index + run));
        }
    }

    @Test
    void nextSlotOffsetFollowsTheIndexAroundTheRing() {
        for (int index = START; index != START + 70; index++) {
            long here = front.slotOffset(index);
            assertEquals(front.slotOffset(index + 1), front.nextSlotOffset(here));
            assertEquals(back.slotOffset(index + 1), back.nextSlotOffset(here));
        }
    }
}
