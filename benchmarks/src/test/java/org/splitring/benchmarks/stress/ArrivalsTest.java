package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.splitring.benchmarks.stress.Arrivals.Pacing;

/// Times of requests.
final class ArrivalsTest {
    @Test
    void evenOnesDoNotDrift() {
        Arrivals arrivals = new Arrivals(3000, Pacing.EVEN, 0.5, 1);
        arrivals.begin(-5_000_000_000L); // nanoTime may be anything
        assertEquals(-5_000_000_000L + 166_666, arrivals.next());
        for (int i = 0; i < 3_000_000; i++) {
            arrivals.advance();
        }
        assertEquals(995e9 + 166_666, (double) arrivals.next(), 1000);
    }

    @Test
    void poissonOnesHaveTheirRate() {
        Arrivals arrivals = new Arrivals(1000, Pacing.POISSON, 0, 1);
        arrivals.begin(0);
        int within = 0; // half the mean distance: 1 - e^-0.5 of all
        for (int i = 0; i < 100_000; i++) {
            long before = arrivals.next();
            arrivals.advance();
            within += arrivals.next() - before < 500_000 ? 1 : 0;
        }
        assertEquals(100e9, (double) arrivals.next(), 2e9);
        assertEquals(39_347, within, 1000);
    }

    @Test
    void whatIsDueIsCounted() {
        Arrivals arrivals = new Arrivals(1000, Pacing.EVEN, 0, 1);
        arrivals.begin(1_000);
        assertEquals(0, arrivals.countDue(999));
        assertEquals(1, arrivals.countDue(1_000));
        assertEquals(4, arrivals.countDue(3_001_000));
    }

    /// Who was late had a tenth of the time to answer, and guests of a busy machine were missed.
    @Test
    void aRollCallAsksEachOnceAndIsQuietThenForWhoIsLate() {
        RollCall call = new RollCall(1, 20);
        for (int stream : new int[] {0, 500, 999}) {
            Arrivals arrivals = call.arrivals(stream, 1000);
            arrivals.begin(0);
            assertEquals(stream * 1e6, (double) arrivals.next(), 1000);
            arrivals.advance();
            assertEquals(stream * 1e6 + 21e9, (double) arrivals.next(), 1000);
        }
    }
}
