package org.splitring.blkback;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import org.splitring.xenbus.device.DeviceMeters;

/// How long requests of one direction took, from the ring to the answer: how many took less than
/// 1.024 µs, less than twice that, and so on to 8.6 s, and how many took longer.
///
///     bucket  0             1              2       ..  23              24
///     below   2^10 ns       2^11 ns        2^12 ns ..  2^33 ns         (longer)
///
/// Written by one thread, read by any; recording is two stores.
final class LatencyHistogram {
    static final int BUCKETS = 25;
    private static final int FIRST_BITS = 10;

    private final AtomicLongArray counts = new AtomicLongArray(BUCKETS);
    private final AtomicLong sumNanos = new AtomicLong();

    /// Notes a request.
    void record(long nanos) {
        long took = Math.max(0, nanos);
        int bits = Long.SIZE - Long.numberOfLeadingZeros(took >>> FIRST_BITS);
        int bucket = Math.min(bits, BUCKETS - 1);
        counts.setRelease(bucket, counts.getPlain(bucket) + 1);
        VbdCounters.add(sumNanos, took);
    }

    /// What every request of a bucket took less than, in nanoseconds; without bound for the last.
    static double belowNanos(int bucket) {
        return bucket == BUCKETS - 1 ? Double.POSITIVE_INFINITY : 1L << (FIRST_BITS + bucket);
    }

    /// How many took less than the bound of a bucket.
    long countBelow(int bucket) {
        long sum = 0;
        for (int i = 0; i <= bucket; i++) {
            sum += counts.getAcquire(i);
        }
        return sum;
    }

    long count() {
        return countBelow(BUCKETS - 1);
    }

    /// Shows it as Prometheus has histograms: `latency.bucket`, cumulative, with the bound in
    /// seconds as `le`, and `latency.seconds`, the sum.
    void register(DeviceMeters meters, String direction) {
        for (int i = 0; i < BUCKETS; i++) {
            int bucket = i;
            double seconds = belowNanos(bucket) / 1e9;
            meters.counter(
                    "latency.bucket",
                    this,
                    all -> all.countBelow(bucket),
                    "direction",
                    direction,
                    "le",
                    Double.isInfinite(seconds) ? "+Inf" : Double.toString(seconds));
        }
        meters.counter(
                "latency.seconds",
                this,
                all -> all.sumNanos.getAcquire() / 1e9,
                "direction",
                direction);
    }
}
