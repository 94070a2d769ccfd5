package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/// Logs of times.
final class KindLogTest {
    @Test
    void nothingIsAllocatedForARecord() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        KindLog log = new KindLog(true);
        long allocated = -1;
        for (int window = 0; window < 40 && allocated != 0; window++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 20_000; i++) {
                log.record(i, i + 10, i + 1000L * i);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertEquals(0, allocated);
    }

    @Test
    void timesAreMovedOnce() {
        KindLog log = new KindLog(true);
        log.record(0, 900, 1000);
        log.record(0, 0, Long.MAX_VALUE); // longer than anything may take
        KindTimes times = new KindTimes();
        log.drain(times);
        log.drain(times);
        assertEquals(2, times.responses().getTotalCount());
        assertEquals(1000, (double) times.responses().getMinValue(), 1);
        assertEquals(100, times.services().getMinValue());
        assertEquals(1e11, (double) times.responses().getMaxValue(), 1e8);
    }
}
