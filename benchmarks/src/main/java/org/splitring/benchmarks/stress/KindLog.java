package org.splitring.benchmarks.stress;

import org.HdrHistogram.Histogram;
import org.HdrHistogram.SingleWriterRecorder;
import org.jspecify.annotations.Nullable;

/// Times of one kind of request, as one thread records them and another takes them away from
/// time to time. Recording allocates nothing and waits for nobody.
final class KindLog {
    /// What takes longer is recorded as this: a device is given up sooner.
    static final long MOST_NANOS = 100_000_000_000L;

    static final int DIGITS = 3;

    private final SingleWriterRecorder responses = recorder();
    private final @Nullable SingleWriterRecorder services;
    private @Nullable Histogram spareResponses; // of the thread that drains
    private @Nullable Histogram spareServices;

    /// @param withServices whether the time from the sending is of interest beside that from the
    ///     intended start
    KindLog(boolean withServices) {
        services = withServices ? recorder() : null;
    }

    private static SingleWriterRecorder recorder() {
        return new SingleWriterRecorder(1, MOST_NANOS, DIGITS);
    }

    /// An empty histogram into which any log can be added.
    static Histogram histogram() {
        return new Histogram(1, MOST_NANOS, DIGITS);
    }

    /// Records an answer. The thread that owns this log.
    ///
    /// @param intendedNanos when the request was due
    /// @param sentNanos when it was sent
    /// @param doneNanos when its answer was there
    void record(long intendedNanos, long sentNanos, long doneNanos) {
        responses.recordValue(Math.clamp(doneNanos - intendedNanos, 1, MOST_NANOS));
        SingleWriterRecorder second = services;
        if (second != null) {
            second.recordValue(Math.clamp(doneNanos - sentNanos, 1, MOST_NANOS));
        }
    }

    /// Moves what was recorded since the last call. The thread that reports.
    void drain(KindTimes into) {
        Histogram drained = responses.getIntervalHistogram(spareResponses);
        into.responses().add(drained);
        spareResponses = drained;
        SingleWriterRecorder second = services;
        if (second != null) {
            Histogram drainedServices = second.getIntervalHistogram(spareServices);
            into.services().add(drainedServices);
            spareServices = drainedServices;
        }
    }
}
