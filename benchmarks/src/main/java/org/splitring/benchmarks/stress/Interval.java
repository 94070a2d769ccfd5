package org.splitring.benchmarks.stress;

import java.util.List;

/// A part of a run.
///
/// @param endSeconds when it ended, from the beginning of the run
/// @param kinds in the order of the run's kinds
/// @param corePercent how busy each processor was
record Interval(double endSeconds, List<KindInterval> kinds, List<Double> corePercent) {
    /// One kind of request in that part.
    record KindInterval(
            String kind, double perSecond, long p50Nanos, long p99Nanos, long maxNanos) {}

    Interval {
        kinds = List.copyOf(kinds);
        corePercent = List.copyOf(corePercent);
    }

    static KindInterval of(RequestKind kind, KindTimes times, double seconds) {
        var responses = times.responses();
        return new KindInterval(
                kind.name(),
                responses.getTotalCount() / seconds,
                responses.getValueAtPercentile(50),
                responses.getValueAtPercentile(99),
                responses.getMaxValue());
    }
}
