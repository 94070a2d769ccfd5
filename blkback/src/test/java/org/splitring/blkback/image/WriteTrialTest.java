package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class WriteTrialTest {
    private static final long QUICK = 5_000;
    private static final long SLOW = WriteTrial.LONG_NANOS + 1;

    private final WriteTrial trial = new WriteTrial();
    private long now = Long.MAX_VALUE - 1_000_000; // the clock may wrap

    private boolean may() {
        return trial.mayTry(8192, 4096, now);
    }

    private void write(long nanos) {
        assertTrue(may());
        long begin = now;
        now += nanos;
        trial.tried(begin, now);
    }

    /// @return how long none is tried
    private long pause() {
        long begin = now;
        while (!may()) {
            now += WriteTrial.FIRST_PAUSE_NANOS / 10;
            assertTrue(now - begin <= 2 * WriteTrial.LONGEST_PAUSE_NANOS);
        }
        return now - begin;
    }

    @Test
    void onlySmallWritesOfWholePagesAreTried() {
        assertTrue(trial.mayTry(0, WriteTrial.MOST_BYTES, now));
        assertFalse(trial.mayTry(0, WriteTrial.MOST_BYTES + 4096, now));
        assertFalse(trial.mayTry(512, 4096, now));
        assertFalse(trial.mayTry(4096, 512, now));
    }

    @Test
    void afterOneThatTookLongNoneIsTriedForAPauseThatDoubles() {
        write(WriteTrial.LONG_NANOS);
        assertEquals(0, pause());
        long expected = WriteTrial.FIRST_PAUSE_NANOS;
        for (int i = 0; i < 12; i++) {
            write(SLOW);
            assertEquals(expected, pause());
            expected = Math.min(2 * expected, WriteTrial.LONGEST_PAUSE_NANOS);
        }
        assertEquals(WriteTrial.LONGEST_PAUSE_NANOS, expected);
    }

    @Test
    void manyQuickOnesMakeTheNextPauseShort() {
        write(SLOW);
        pause();
        for (int i = 1; i < WriteTrial.QUICK_AGAIN; i++) {
            write(QUICK);
        }
        write(SLOW);
        assertEquals(2 * WriteTrial.FIRST_PAUSE_NANOS, pause());
        for (int i = 0; i < WriteTrial.QUICK_AGAIN; i++) {
            write(QUICK);
        }
        write(SLOW);
        assertEquals(WriteTrial.FIRST_PAUSE_NANOS, pause());
    }
}
