package org.splitring.benchmarks.stress;

import org.jspecify.annotations.Nullable;

/// When the streams of a load ask.
interface Pace {
    /// Whether there are times at which they ask, whatever has been answered.
    boolean isPaced();

    /// The times of one of several equal streams; `null` when it asks as soon as it is answered.
    @Nullable Arrivals arrivals(int stream, int streams);
}
