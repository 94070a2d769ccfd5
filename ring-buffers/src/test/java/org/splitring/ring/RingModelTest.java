package org.splitring.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// Random steps of both ends against a plain model: `ring.h` in 64-bit arithmetic that never wraps.
/// After every step all four shared words must be the model's, modulo 2^32.
class RingModelTest {
    private static final long[] STARTS = {
        0, 0xFFFFFFFEL, 0xFFFFFFF0L, 0x7FFFFFFAL, 0xFFFFFF00L, 12345
    };
    private static final int[] ENTRY_SIZES = {112, 108, 12, 8, 16, 1000, 4032};

    private final Random random = new Random();

    @Test
    void bothEndsFollowTheModel() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        int rings = 120;
        for (int i = 0; i < rings; i++) {
            try {
                run(seed + i, 10_000);
            } catch (AssertionError e) {
                throw new AssertionError("seed " + (seed + i), e);
            }
        }
    }

    private void run(long seed, int steps) {
        random.setSeed(seed);
        int entrySize = ENTRY_SIZES[random.nextInt(ENTRY_SIZES.length)];
        long ringSize = 4096L << random.nextInt(5);
        long start = STARTS[random.nextInt(STARTS.length)];
        try (Arena arena = Arena.ofConfined()) {
            new Run(arena, entrySize, ringSize, start).steps(steps);
        }
    }

    private final class Run {
        final MemorySegment ring;
        final MemorySegment copy;
        final FrontRing front;
        final BackRing back;
        final int entries;

        // The model: indices that do not wrap.
        long reqProdPvt;
        long reqProd;
        long reqEvent;
        long reqCons;
        long rspProdPvt;
        long rspProd;
        long rspEvent;
        long rspCons;

        Run(Arena arena, int entrySize, long ringSize, long start) {
            ring = arena.allocate(ringSize, 4096);
            copy = arena.allocate(entrySize, 8);
            if (start == 0) {
                front = FrontRing.init(ring, entrySize);
                back = BackRing.init(ring, entrySize);
            } else {
                SringLayout.REQ_PROD.set(ring, (int) start);
                SringLayout.RSP_PROD.set(ring, (int) start);
                SringLayout.REQ_EVENT.set(ring, (int) start + 1);
                SringLayout.RSP_EVENT.set(ring, (int) start + 1);
                front = FrontRing.attach(ring, entrySize, (int) start);
                back = BackRing.attachLive(ring, entrySize);
            }
            entries = front.entries();
            reqProdPvt = reqProd = reqCons = rspProdPvt = rspProd = rspCons = start;
            reqEvent = rspEvent = start + 1;
        }

        void steps(int count) {
            for (int i = 0; i < count; i++) {
                step();
                assertEquals((int) reqProd, (int) SringLayout.REQ_PROD.get(ring), "req_prod");
                assertEquals((int) reqEvent, (int) SringLayout.REQ_EVENT.get(ring), "req_event");
                assertEquals((int) rspProd, (int) SringLayout.RSP_PROD.get(ring), "rsp_prod");
                assertEquals((int) rspEvent, (int) SringLayout.RSP_EVENT.get(ring), "rsp_event");
                assertEquals(entries - (reqProdPvt - rspCons), front.freeRequests());
                assertEquals(reqProdPvt - rspCons == entries, front.isFull());
                assertEquals(reqProd - rspCons, front.outstandingRequests());
                assertEquals(reqCons - rspProdPvt, back.unansweredRequests());
            }
        }

        private void step() {
            switch (random.nextInt(8)) {
                case 0 -> takeRequests(random.nextInt(entries + 1));
                case 1 -> pushRequests();
                case 2 -> takeOffRequests(random.nextInt(entries + 1));
                case 3 -> takeResponses(random.nextInt(entries + 1));
                case 4 -> pushResponses();
                case 5 -> takeOffResponses(random.nextInt(entries + 1));
                case 6 -> {
                    boolean work = reqProd != reqCons;
                    assertEquals(work, back.finalCheckForRequests());
                    reqEvent = work ? reqEvent : reqCons + 1;
                }
                case 7 -> {
                    boolean work = rspProd != rspCons;
                    assertEquals(work, front.finalCheckForResponses());
                    rspEvent = work ? rspEvent : rspCons + 1;
                }
                default -> throw new AssertionError();
            }
        }

        private void takeRequests(int most) {
            for (int i = Math.min(front.freeRequests(), Math.min(most, 16)); i > 0; i--) {
                int index = front.takeRequestIndex();
                assertEquals((int) reqProdPvt, index);
                front.slot(index).set(ValueLayout.JAVA_LONG_UNALIGNED, 0, request(reqProdPvt));
                reqProdPvt++;
            }
        }

        private void pushRequests() {
            boolean notify = reqProd < reqEvent && reqEvent <= reqProdPvt;
            assertEquals(notify, front.pushRequestsAndCheckNotify());
            reqProd = reqProdPvt;
        }

        private void takeOffRequests(int most) {
            int count = back.unconsumedRequests();
            assertEquals(
                    Math.min(reqProd - reqCons, entries - (reqCons - rspProdPvt)), (long) count);
            for (int i = Math.min(count, Math.min(most, 16)); i > 0; i--) {
                back.copyRequest(copy);
                assertEquals(request(reqCons), copy.get(ValueLayout.JAVA_LONG_UNALIGNED, 0));
                reqCons++;
            }
        }

        private void takeResponses(int most) {
            int count = (int) Math.min(reqCons - rspProdPvt, Math.min(most, 16));
            for (int i = count; i > 0; i--) {
                int index = back.takeResponseIndex();
                assertEquals((int) rspProdPvt, index);
                ring.set(
                        ValueLayout.JAVA_LONG_UNALIGNED,
                        back.slotOffset(index),
                        ~request(rspProdPvt));
                rspProdPvt++;
            }
        }

        private void pushResponses() {
            boolean notify = rspProd < rspEvent && rspEvent <= rspProdPvt;
            assertEquals(notify, back.pushResponsesAndCheckNotify());
            rspProd = rspProdPvt;
        }

        private void takeOffResponses(int most) {
            int count = front.unconsumedResponses();
            assertEquals(rspProd - rspCons, (long) count);
            for (int i = Math.min(count, Math.min(most, 16)); i > 0; i--) {
                front.copyResponse(copy);
                assertEquals(~request(rspCons), copy.get(ValueLayout.JAVA_LONG_UNALIGNED, 0));
                rspCons++;
            }
        }

        private long request(long index) {
            return index * 0x9E3779B97F4A7C15L;
        }
    }
}
