package org.splitring.benchmarks.stress;

import org.jspecify.annotations.Nullable;

/// What became of one kind of request in one run.
///
/// @param answered how many
/// @param latency from the intended start, or from the sending where nothing was intended
/// @param service from the sending; `null` without intended starts
record KindFigures(
        String kind,
        long answered,
        double perSecond,
        double megabytesPerSecond,
        Latency latency,
        @Nullable Latency service) {
    static KindFigures of(RequestKind kind, KindTimes times, double seconds) {
        long answered = times.responses().getTotalCount();
        return new KindFigures(
                kind.name(),
                answered,
                answered / seconds,
                answered * (double) kind.sizeBytes() / 1e6 / seconds,
                Latency.of(times.responses()),
                times.services().getTotalCount() == 0 ? null : Latency.of(times.services()));
    }
}
