package org.splitring.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class LookOutTest {
    private static final long MOST = 30_000;

    private final ManualLoop loop = new ManualLoop();

    private LookOut lookOut() {
        loop.spinNanos = MOST;
        loop.tickNanos = 10;
        return new LookOut(loop);
    }

    /// Runs what is queued until nothing is.
    ///
    /// @return for how long it has looked
    private long looked() {
        long begin = loop.now;
        while (loop.queued() > 0) {
            assertEquals(1, loop.queued(), "it queues itself once");
            loop.runOne();
            assertTrue(loop.now - begin < 2 * MOST, "no end");
        }
        return loop.now - begin;
    }

    @Test
    void itLooksForTheWholeTimeWhileRequestsComeSoon() {
        LookOut lookOut = lookOut();
        for (int i = 0; i < 5; i++) {
            lookOut.noteActivity();
            lookOut.noteActivity();
            long time = looked();
            assertTrue(time >= MOST - 100 && time < MOST + 100, "looked for " + time);
        }
    }

    @Test
    void aRequestWhileItLooksMakesItLookAnew() {
        LookOut lookOut = lookOut();
        lookOut.noteActivity();
        loop.runOne();
        loop.now += MOST / 2;
        lookOut.noteActivity();
        long time = looked();
        assertTrue(time >= MOST - 100 && time < MOST + 100, "looked for " + time);
    }

    @Test
    void requestsThatComeSeldomMakeItLookForASixteenth() {
        LookOut lookOut = lookOut();
        for (int i = 0; i < 10; i++) {
            loop.now += 10 * MOST;
            lookOut.noteActivity();
            looked();
        }
        loop.now += 10 * MOST;
        lookOut.noteActivity();
        long time = looked();
        assertTrue(time >= MOST / 16 - 100 && time < MOST / 16 + 100, "looked for " + time);
        for (int i = 0; i < 4; i++) {
            lookOut.noteActivity(); // soon again
            time = looked();
        }
        assertTrue(time >= MOST - 100, "looked for " + time);
    }

    @Test
    void whereNoProcessorIsFreeItNeverLooks() {
        LookOut lookOut = new LookOut(loop);
        lookOut.noteActivity();
        assertEquals(0, loop.queued());
    }
}
