package org.splitring.benchmarks.stress;

import org.splitring.benchmarks.stress.Arrivals.Pacing;

/// Each stream asks once, one after the other.
///
/// @param seconds that it takes
/// @param quietSeconds for who is late, before a second round would begin
record RollCall(double seconds, double quietSeconds) implements Pace {
    @Override
    public boolean isPaced() {
        return true;
    }

    @Override
    public Arrivals arrivals(int stream, int streams) {
        double round = seconds + quietSeconds;
        double place = seconds / round * stream / streams;
        return new Arrivals(1 / round, Pacing.EVEN, place, stream);
    }
}
