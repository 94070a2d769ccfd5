package org.splitring.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.wire.BlkifLayout;

/// Peers that write what no honest peer writes, at the level of the ring: numbers of the hostile
/// catalogue are at the front of the names. Indices start where every one of them wraps.
class RingHostileTest {
    private static final int ENTRY = 112;
    private static final int N = 32;
    private static final int NEAR_WRAP = 0xFFFFFFF0;

    private final MemorySegment page = Arena.ofAuto().allocate(4096, 4096);
    private final MemorySegment copy = Arena.ofAuto().allocate(ENTRY, 8);

    private BackRing backAt(int index) {
        page.fill((byte) 0x77);
        SringLayout.REQ_PROD.set(page, index);
        SringLayout.RSP_PROD.set(page, index);
        SringLayout.REQ_EVENT.set(page, index + 1);
        SringLayout.RSP_EVENT.set(page, index + 1);
        return BackRing.attach(page, ENTRY, index);
    }

    private FrontRing frontAt(int index) {
        backAt(index);
        return FrontRing.attach(page, ENTRY, index);
    }

    @Test
    void aLookShowsWhatStandsInSharedMemoryAndTakesNothingFromIt() {
        BackRing ring = backAt(NEAR_WRAP);
        SringLayout.REQ_PROD.set(page, NEAR_WRAP + 3);
        assertEquals(3, ring.unconsumedRequests());
        ring.copyRequest(copy);
        ring.takeResponseIndex();
        assertTrue(ring.pushResponsesAndCheckNotify());
        SringLayout.REQ_PROD.set(page, 5); // more than the ring has slots
        SringLayout.RSP_PROD.set(page, 0xDEAD);
        SringLayout.REQ_EVENT.set(page, 0xBEEF);
        SringLayout.RSP_EVENT.set(page, -7);

        RingLook look = new RingLook();
        ring.look(look);
        assertEquals(5, look.reqProd());
        assertEquals(0xDEAD, look.rspProd());
        assertEquals(0xBEEF, look.reqEvent());
        assertEquals(-7, look.rspEvent());
        assertEquals(NEAR_WRAP + 1, look.reqCons());
        assertEquals(NEAR_WRAP + 1, look.rspProdPvt());
        assertEquals(NEAR_WRAP + 1, look.rspProdPushed());
        assertEquals(N, look.entries());
        assertEquals(1, look.notifications());
        assertFalse(look.isBroken(), "a look decides nothing");
        ring.copyRequest(copy); // and changes nothing: what was counted can be taken
        ring.copyRequest(copy);
    }

    /// Distances from the honest index: four that are too far ahead, two backwards.
    static int[][] impossibleRequestIndices() {
        int[] distances = {N + 1, 2 * N, 1 << 31, -1, -N, -N - 1};
        int[][] cases = new int[distances.length * 3][];
        for (int i = 0; i < distances.length; i++) {
            cases[3 * i] = new int[] {0, distances[i]};
            cases[3 * i + 1] = new int[] {NEAR_WRAP, distances[i]};
            cases[3 * i + 2] = new int[] {Integer.MAX_VALUE - 5, distances[i]};
        }
        return cases;
    }

    @ParameterizedTest
    @MethodSource("impossibleRequestIndices")
    void h001_impossibleReqProdBreaksTheRing(int[] startAndDistance) {
        int start = startAndDistance[0];
        BackRing back = backAt(start);
        // Go through the wrap honestly first: 20 requests, 15 answered, 5 in flight.
        SringLayout.REQ_PROD.set(page, start + 20);
        assertEquals(20, back.unconsumedRequests());
        for (int i = 0; i < 20; i++) {
            back.copyRequest(copy);
        }
        for (int i = 0; i < 15; i++) {
            back.takeResponseIndex();
        }
        back.pushResponsesAndCheckNotify();
        int distance = startAndDistance[1];
        // Ahead is counted from rsp_prod_pvt, backwards from req_cons.
        int mad =
                distance < 0 && distance >= -N - 1 ? start + 20 + distance : start + 15 + distance;
        SringLayout.REQ_PROD.set(page, mad);
        byte[] before = page.toArray(ValueLayout.JAVA_BYTE);

        RingBrokenException broken =
                assertThrows(RingBrokenException.class, back::unconsumedRequests);
        assertEquals(0, broken.getStackTrace().length, "made in advance, without a stack trace");
        assertTrue(back.isBroken());
        assertTrue(back.toString().contains("req_prod=0x"), back.toString());

        // It stays broken when the word is put right again, and nothing more is published.
        assertThrows(RingBrokenException.class, back::finalCheckForRequests);
        SringLayout.REQ_PROD.set(page, start + 20);
        assertSame(broken, assertThrows(RingBrokenException.class, back::unconsumedRequests));
        assertThrows(RingBrokenException.class, back::finalCheckForRequests);
        assertThrows(IllegalStateException.class, () -> back.copyRequest(copy));
        back.takeResponseIndex();
        assertFalse(back.pushResponsesAndCheckNotify());
        SringLayout.REQ_PROD.set(page, mad);
        assertEquals(
                -1,
                MemorySegment.ofArray(before).mismatch(page),
                "a broken ring is not written any more");
    }

    @Test
    void h001_everyPossibleReqProdIsServed() {
        for (int start : new int[] {0, NEAR_WRAP}) {
            for (int inFlight = 0; inFlight <= N; inFlight++) {
                for (int ahead = 0; ahead <= N - inFlight; ahead++) {
                    BackRing back = backAt(start);
                    SringLayout.REQ_PROD.set(page, start + inFlight);
                    back.unconsumedRequests();
                    for (int i = 0; i < inFlight; i++) {
                        back.consumeRequestIndex();
                    }
                    SringLayout.REQ_PROD.set(page, start + inFlight + ahead);
                    assertEquals(ahead, back.unconsumedRequests());
                }
            }
        }
    }

    @Test
    void h001_randomReqProdIsServedOrRefusedAsTheArithmeticSays() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        int refused = 0;
        for (int i = 0; i < 1_000_000; i++) {
            // Placed by hand, for a ring made anew costs more than the check.
            long start = i % 2 == 0 ? random.nextInt() & 0xFFFFFFFFL : 0xFFFFFFFFL - i % 64;
            int inFlight = random.nextInt(N + 1);
            BackRing back = BackRing.attach(page, ENTRY, (int) start);
            SringLayout.REQ_PROD.set(page, (int) (start + inFlight));
            back.unconsumedRequests();
            for (int k = 0; k < inFlight; k++) {
                back.consumeRequestIndex();
            }
            int word = random.nextInt(4) == 0 ? random.nextInt() : near(random, start + inFlight);
            SringLayout.REQ_PROD.set(page, word);
            long ahead = (word - (start + inFlight)) & 0xFFFFFFFFL;
            String message = "seed " + seed + " case " + i + " ahead " + ahead;
            if (ahead <= N - inFlight) {
                assertEquals(ahead, back.unconsumedRequests(), message);
            } else {
                refused++;
                assertThrows(RingBrokenException.class, back::unconsumedRequests, message);
            }
        }
        assertTrue(refused > 100_000, "only " + refused + " refused");
    }

    private static int near(Random random, long index) {
        return (int) index + random.nextInt(-2 * N, 2 * N + 1);
    }

    @Test
    void h004_copyDoesNotChangeWhenThePeerEditsTheSlot() {
        BlkifLayout blkif = BlkifLayout.X86_64;
        BackRing back = backAt(-2);
        blkif.writeRequest(page, 64 + 30 * 112L, 0, 1, 7, 42, 1000);
        SringLayout.REQ_PROD.set(page, -1);
        assertEquals(1, back.unconsumedRequests());
        back.copyRequest(copy);
        blkif.writeRequest(page, 64 + 30 * 112L, 255, 255, 255, -1, -1);
        assertEquals(0, blkif.operation(copy, 0));
        assertEquals(1, blkif.nrSegments(copy, 0));
        assertEquals(7, blkif.handle(copy, 0));
        assertEquals(42, blkif.id(copy, 0));
        assertEquals(1000, blkif.sectorNumber(copy, 0));
    }

    @Test
    void h004_h005_flippedFieldsAreOneOfTheTwoValuesAndStaySo() throws InterruptedException {
        BlkifLayout blkif = BlkifLayout.X86_64;
        BackRing back = backAt(-2);
        AtomicBoolean stop = new AtomicBoolean();
        long slot = 64 + 30 * 112L; // of index -2, for all rounds
        blkif.writeRequest(page, slot, 0, 1, 0, 1, 1);
        Thread flipper =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        blkif.writeRequest(page, slot, 6, 255, 0, 1, 1);
                                        blkif.writeRequest(page, slot, 0, 1, 0, 1, 1);
                                    }
                                });
        boolean sawBoth = false;
        try {
            for (int round = 0; round < 200_000; round++) {
                BackRing again = BackRing.attach(page, ENTRY, -2);
                SringLayout.REQ_PROD.setRelease(page, -1);
                assertEquals(1, again.unconsumedRequests());
                again.copyRequest(copy);
                int nrSegments = blkif.nrSegments(copy, 0);
                int operation = blkif.operation(copy, 0);
                assertTrue(nrSegments == 1 || nrSegments == 255, "nr_segments " + nrSegments);
                assertTrue(operation == 0 || operation == 6, "operation " + operation);
                sawBoth |= nrSegments == 255;
                assertEquals(nrSegments, blkif.nrSegments(copy, 0));
                assertEquals(operation, blkif.operation(copy, 0));
            }
        } finally {
            stop.set(true);
            flipper.join();
        }
        assertTrue(sawBoth, "the flipper never won");
        assertFalse(back.isBroken());
    }

    @Test
    void h005_reqProdIsReadOnceSoThatWhatWasCheckedIsWhatIsUsed() throws InterruptedException {
        backAt(-2);
        SringLayout.REQ_PROD.set(page, -1);
        AtomicBoolean stop = new AtomicBoolean();
        Thread flipper =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        SringLayout.REQ_PROD.setOpaque(page, -2 + N + 1);
                                        SringLayout.REQ_PROD.setOpaque(page, -1);
                                    }
                                });
        int served = 0;
        int refused = 0;
        long deadline = System.nanoTime() + 6_000_000_000L;
        try {
            // A double read goes wrong once in some hundred thousand rounds: see it within 6 s.
            while ((served < 3_000_000 || refused < 1000) && System.nanoTime() < deadline) {
                BackRing back = BackRing.attach(page, ENTRY, -2);
                try {
                    assertEquals(1, back.unconsumedRequests());
                    served++;
                } catch (RingBrokenException e) {
                    refused++;
                }
            }
        } finally {
            stop.set(true);
            flipper.join();
        }
        assertTrue(served >= 10_000 && refused >= 100, served + " served, " + refused + " refused");
    }

    @Test
    void h006_requestsInFlightNeverExceedTheRing() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        BackRing back = backAt(NEAR_WRAP);
        int honest = NEAR_WRAP;
        for (int i = 0; i < 10_000; i++) {
            // The frontend never takes a response, and publishes as much as it can get away with.
            int room = N - back.unansweredRequests();
            honest += room;
            SringLayout.REQ_PROD.set(page, honest);
            assertEquals(room, back.unconsumedRequests(), "seed " + seed);
            for (int k = 0; k < room; k++) {
                back.consumeRequestIndex();
            }
            assertEquals(N, back.unansweredRequests());
            assertEquals(0, back.unconsumedRequests());
            assertThrows(IllegalStateException.class, back::consumeRequestIndex);
            for (int k = random.nextInt(N + 1); k > 0; k--) {
                back.takeResponseIndex();
            }
            back.pushResponsesAndCheckNotify();
        }
        SringLayout.REQ_PROD.set(page, honest + N + 1);
        assertThrows(RingBrokenException.class, back::unconsumedRequests);
    }

    @ParameterizedTest
    @CsvSource({"0", "-16", "-2", "2147483640"})
    void h007_rspProdBeyondWhatIsOutstandingBreaksTheRing(int start) {
        for (int outstanding : new int[] {0, 1, 20, N}) {
            for (int mad : new int[] {outstanding + 1, N + 1, 2 * N, 1 << 31, -1, -N}) {
                FrontRing front = frontAt(start);
                for (int i = 0; i < outstanding; i++) {
                    front.takeRequestIndex();
                }
                front.pushRequestsAndCheckNotify();
                SringLayout.RSP_PROD.set(page, start + mad);
                RingBrokenException broken =
                        assertThrows(
                                RingBrokenException.class,
                                front::unconsumedResponses,
                                outstanding + " outstanding, rsp_prod at " + mad);
                assertTrue(front.isBroken());
                SringLayout.RSP_PROD.set(page, start);
                assertSame(
                        broken,
                        assertThrows(RingBrokenException.class, front::finalCheckForResponses));
                assertThrows(IllegalStateException.class, () -> front.copyResponse(copy));
                assertFalse(front.pushRequestsAndCheckNotify());
            }
        }
    }

    @Test
    void h007_requestsTakenButNotPushedCannotBeAnswered() {
        FrontRing front = frontAt(-2);
        front.takeRequestIndex();
        SringLayout.RSP_PROD.set(page, -1);
        assertThrows(RingBrokenException.class, front::unconsumedResponses);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void h011_randomEventWordsDoNotTouchOurProgress(boolean scribbleRequests) {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        backAt(NEAR_WRAP);
        FrontRing front = FrontRing.attach(page, ENTRY, NEAR_WRAP);
        BackRing back = BackRing.attach(page, ENTRY, NEAR_WRAP);
        int sent = 0;
        int answered = 0;
        for (int pass = 0; pass < 100_000; pass++) {
            int count = Math.min(front.freeRequests(), random.nextInt(N + 1));
            for (int i = 0; i < count; i++) {
                front.slot(front.takeRequestIndex()).set(ValueLayout.JAVA_INT, 0, sent++);
            }
            scribble(random, scribbleRequests);
            front.pushRequestsAndCheckNotify();
            scribble(random, scribbleRequests);
            while (back.finalCheckForRequests()) {
                for (int n = back.unconsumedRequests(); n > 0; n--) {
                    back.copyRequest(copy);
                    back.slot(back.takeResponseIndex())
                            .set(ValueLayout.JAVA_INT, 0, copy.get(ValueLayout.JAVA_INT, 0));
                }
            }
            scribble(random, scribbleRequests);
            back.pushResponsesAndCheckNotify();
            while (front.finalCheckForResponses()) {
                for (int n = front.unconsumedResponses(); n > 0; n--) {
                    front.copyResponse(copy);
                    assertEquals(answered++, copy.get(ValueLayout.JAVA_INT, 0), "seed " + seed);
                }
            }
            assertEquals(sent, answered, "seed " + seed);
        }
        assertTrue(sent > 1_000_000, "sent " + sent);
    }

    private void scribble(Random random, boolean requests) {
        (requests ? SringLayout.REQ_EVENT : SringLayout.RSP_EVENT).set(page, random.nextInt());
    }
}
