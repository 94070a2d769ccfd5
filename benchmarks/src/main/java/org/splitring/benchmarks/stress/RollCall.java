package org.splitring.benchmarks.stress;

import org.splitring.benchmarks.stress.Arrivals.Pacing;

/// Each stream asks once, one after the other.
///
/// @param seconds that it takes; the second round does not begin before it is over
record RollCall(double seconds) implements Pace {
    @Override
    public boolean isPaced() {
        return true;
    }

    @Override
    public Arrivals arrivals(int stream, int streams) {
        // A round of twice the time, of which the second half is quiet.
        return new Arrivals(1 / (2 * seconds), Pacing.EVEN, 0.5 * stream / streams, stream);
    }
}
