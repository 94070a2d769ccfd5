package org.splitring.benchmarks.stress;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// One repetition.
///
/// @param seconds from the first request to the last answer
/// @param processorSeconds that our processes had
/// @param corePercent how busy each processor was, by whomever
/// @param counts by name, see [Load#counts]
record StressRun(
        double seconds,
        double processorSeconds,
        List<Double> corePercent,
        List<KindFigures> kinds,
        Map<String, Long> counts,
        List<Interval> intervals) {
    StressRun {
        corePercent = List.copyOf(corePercent);
        kinds = List.copyOf(kinds);
        counts = new TreeMap<>(counts);
        intervals = List.copyOf(intervals);
    }

    long answered() {
        return kinds.stream().mapToLong(KindFigures::answered).sum();
    }
}
