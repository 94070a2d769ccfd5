package org.splitring.blkback.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WriteLogTest {
    private final WriteLog log = new WriteLog(10_000);

    @AfterEach
    void close() {
        log.close();
    }

    private long acknowledged(int length) {
        long entry = log.begin(0, length, false);
        assertNotEquals(WriteLog.NO_ROOM, entry);
        log.acknowledged(entry);
        return entry;
    }

    @Test
    void aFlushCoversWhatWasAcknowledgedBeforeItBegan() {
        long before = acknowledged(100);
        long pending = log.begin(0, 100, false);
        long flush = log.beginFlush();
        long after = acknowledged(100);
        log.acknowledged(pending);
        log.flushed(flush);
        assertEquals(pending, log.nextAcknowledged(0));
        assertEquals(after, log.nextAcknowledged(pending + 1));
        assertEquals(-1, log.nextAcknowledged(after + 1));
        assertEquals(200, log.usedBytes());
        log.flushed(log.beginFlush());
        assertEquals(-1, log.nextAcknowledged(before));
        assertEquals(0, log.usedBytes());
    }

    @Test
    void anOlderFlushThatEndsLateCoversNothingNewer() {
        long first = log.beginFlush();
        log.flushed(log.beginFlush());
        long entry = acknowledged(100);
        log.flushed(first);
        assertEquals(entry, log.nextAcknowledged(0));
    }

    @Test
    void pendingWritesAreNotSentAgain() {
        long entry = log.begin(512, 100, false);
        assertEquals(-1, log.nextAcknowledged(0));
        log.forget(entry);
        assertEquals(0, log.usedBytes());
        log.forget(entry); // nothing happens
        assertFalse(log.hasAcknowledged());
    }

    @Test
    void thereIsRoomForAsMuchAsThereIsAndForNoMore() {
        assertEquals(0, log.start(log.begin(0, 4000, false)));
        assertEquals(4000, log.start(log.begin(0, 4000, false)));
        assertEquals(WriteLog.NO_ROOM, log.begin(0, 2001, false));
        assertNotEquals(WriteLog.NO_ROOM, log.begin(0, 1 << 30, true), "zeros need no room");
        log.forget(0);
        assertEquals(0, log.start(log.begin(0, 2001, false)), "around the end");
        assertEquals(WriteLog.NO_ROOM, log.begin(0, 2000, false));
        assertNotEquals(WriteLog.NO_ROOM, log.begin(0, 1999, false));
    }

    @Test
    void theNumberOfWritesIsBoundedToo() {
        int count = 0;
        while (log.begin(0, 1 << 20, true) != WriteLog.NO_ROOM) {
            count++;
        }
        assertEquals(8192, count);
    }

    @Test
    void noTwoWritesShareBytes() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        ArrayDeque<Long> kept = new ArrayDeque<>();
        for (int i = 0; i < 20_000; i++) {
            long entry = log.begin(i, 1 + random.nextInt(3000), false);
            if (entry == WriteLog.NO_ROOM) {
                assertFalse(kept.isEmpty());
                log.forget(kept.removeFirst());
                continue;
            }
            int start = log.start(entry);
            int end = start + log.length(entry);
            assertTrue(start >= 0 && end <= 10_000, "inside");
            for (long other : kept) {
                int from = log.start(other);
                assertTrue(end <= from || from + log.length(other) <= start, "overlap");
            }
            kept.add(entry);
        }
    }
}
