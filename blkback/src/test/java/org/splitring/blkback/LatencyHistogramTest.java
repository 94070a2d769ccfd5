package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.xenbus.device.DeviceMeters;

@Timeout(60)
class LatencyHistogramTest {
    private static final long SLOW_NANOS = 20_000_000;

    @Test
    void eachIsInTheBucketOfItsPowerOfTwo() {
        LatencyHistogram histogram = new LatencyHistogram();
        histogram.record(-1); // a clock that steps back
        histogram.record(0);
        histogram.record(1023);
        assertEquals(3, histogram.countBelow(0));
        histogram.record(1024);
        histogram.record(2047);
        assertEquals(3, histogram.countBelow(0));
        assertEquals(5, histogram.countBelow(1));
        histogram.record((1L << 33) - 1);
        assertEquals(5, histogram.countBelow(22));
        assertEquals(6, histogram.countBelow(23));
        histogram.record(1L << 33);
        histogram.record(Long.MAX_VALUE);
        assertEquals(6, histogram.countBelow(23));
        assertEquals(8, histogram.count());
        assertEquals(2048, LatencyHistogram.belowNanos(1));
        assertEquals(Double.POSITIVE_INFINITY, LatencyHistogram.belowNanos(24));
    }

    @Test
    void metersAreCumulativeAndInSeconds() {
        SimpleMeterRegistry registry = new SimpleMeterRegistry();
        VbdCounters counters = new VbdCounters();
        counters.register(new DeviceMeters(registry, "backend", "vbd", new DomId(7), 51712));
        counters.readLatency.record(1_500);
        counters.readLatency.record(3_000_000);
        assertEquals(
                4 * LatencyHistogram.BUCKETS,
                registry.find("splitring.vbd.latency.bucket")
                        .tag("guest", "7")
                        .functionCounters()
                        .size());
        assertEquals(1, readsBelow(registry, "2.048E-6"));
        assertEquals(1, readsBelow(registry, "0.002097152"));
        assertEquals(2, readsBelow(registry, "0.004194304"));
        assertEquals(2, readsBelow(registry, "+Inf"));
        var sum = registry.get("splitring.vbd.latency.seconds").tag("direction", "read");
        assertEquals(0.0030015, sum.functionCounter().count(), 1e-9);
    }

    private static double readsBelow(MeterRegistry registry, String seconds) {
        return registry.get("splitring.vbd.latency.bucket")
                .tags("direction", "read", "le", seconds)
                .functionCounter()
                .count();
    }

    /// A read takes its time here, whichever way it goes; a write does not.
    private static final class SlowReads extends MemoryStore {
        private final boolean inline;

        SlowReads(boolean inline) {
            super(1 << 20);
            this.inline = inline;
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) {
            return inline ? read(into, offsetBytes) : WOULD_BLOCK;
        }

        @Override
        public long read(IoVector into, long offsetBytes) {
            long end = System.nanoTime() + SLOW_NANOS;
            for (long left = SLOW_NANOS; left > 0; left = end - System.nanoTime()) {
                LockSupport.parkNanos(left);
            }
            try {
                return super.read(into, offsetBytes);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void readsWritesFlushesAndDiscardsAreCountedWithTheirTimes() throws Exception {
        for (boolean inline : new boolean[] {true, false}) {
            DiskImage disk = DiskImage.of(new SlowReads(inline), DiskMode.WRITEBACK, Runnable::run);
            try (VbdLab lab = new VbdLab();
                    ServedVbd back = lab.backend(disk);
                    ConnectedVbd front = lab.frontend(0)) {
                byte[] data = new byte[4096];
                for (int i = 0; i < 3; i++) {
                    assertEquals(0, VbdLab.write(front, 0, data));
                    assertEquals(0, VbdLab.read(front, 0, data));
                }
                assertEquals(0, VbdLab.write(front, 0, data));
                assertEquals(0, VbdLab.flush(front));
                VbdCounters counters = back.counters();
                assertEquals(3, counters.readLatency.count());
                assertEquals(4, counters.writeLatency.count());
                assertEquals(1, counters.flushLatency.count());
                int slow = 14; // below 16.8 ms
                assertEquals(0, counters.readLatency.countBelow(slow), "they took 20 ms");
                // The clock is looked at when a request ends: a write is not charged for a read.
                assertTrue(counters.writeLatency.countBelow(slow) > 0);
            }
        }
    }
}
