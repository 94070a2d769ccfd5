package org.splitring.benchmarks.stress;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.HdrHistogram.Histogram;

/// A distribution of times, in nanoseconds; all zero when there is none.
///
/// @param percentiles for a curve
/// @param hdr the whole histogram as HdrHistogram's tools read it: compressed V2, in Base64
record Latency(
        double meanNanos,
        long p50Nanos,
        long p90Nanos,
        long p99Nanos,
        long p999Nanos,
        long maxNanos,
        List<Percentile> percentiles,
        String hdr) {
    private static final double[] CURVE = {
        0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99, 99.999, 100
    };

    /// A point of the curve.
    record Percentile(double percent, long nanos) {}

    Latency {
        percentiles = List.copyOf(percentiles);
    }

    static Latency of(Histogram times) {
        ByteBuffer bytes = ByteBuffer.allocate(times.getNeededByteBufferCapacity());
        int size = times.encodeIntoCompressedByteBuffer(bytes);
        return new Latency(
                times.getTotalCount() == 0 ? 0 : times.getMean(),
                times.getValueAtPercentile(50),
                times.getValueAtPercentile(90),
                times.getValueAtPercentile(99),
                times.getValueAtPercentile(99.9),
                times.getMaxValue(),
                Arrays.stream(CURVE)
                        .mapToObj(at -> new Percentile(at, times.getValueAtPercentile(at)))
                        .toList(),
                Base64.getEncoder().encodeToString(Arrays.copyOf(bytes.array(), size)));
    }
}
