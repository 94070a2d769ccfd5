package org.splitring.benchmarks.stress;

import org.HdrHistogram.Histogram;

/// Times of one kind of request, of all threads together.
///
/// @param responses from the intended start to the answer
/// @param services from the sending to the answer; empty when the two starts are the same
record KindTimes(Histogram responses, Histogram services) {
    KindTimes() {
        this(KindLog.histogram(), KindLog.histogram());
    }

    void add(KindTimes other) {
        responses.add(other.responses);
        services.add(other.services);
    }

    void reset() {
        responses.reset();
        services.reset();
    }
}
