package org.splitring.benchmarks.stress;

import java.util.SplittableRandom;

/// When the requests of one stream are due: fixed by rate and random numbers alone, and not by
/// whether the answers before have come. That is an open loop. State is that of the one thread
/// that asks.
final class Arrivals {
    /// How they come.
    enum Pacing {
        /// One after the other at the same distance.
        EVEN,
        /// At random, as from many independent sources: distances are exponential.
        POISSON
    }

    private final double meanNanos;
    private final Pacing pacing;
    private final double firstShare;
    private final SplittableRandom random;
    private long begin;
    private double offset; // of the next one, from the beginning

    /// @param perSecond of this stream
    /// @param firstShare of the mean distance that passes before the first one, so that many
    ///     streams are not due at the same instant
    Arrivals(double perSecond, Pacing pacing, double firstShare, long seed) {
        if (!(perSecond > 0)) {
            throw new IllegalArgumentException("rate " + perSecond);
        }
        meanNanos = 1e9 / perSecond;
        this.pacing = pacing;
        this.firstShare = firstShare;
        random = new SplittableRandom(seed);
    }

    void begin(long nanoTime) {
        begin = nanoTime;
        offset = meanNanos * firstShare;
    }

    /// When the next request is due, by `System.nanoTime`.
    long next() {
        return begin + (long) offset;
    }

    /// The next one has been sent.
    void advance() {
        offset +=
                pacing == Pacing.EVEN ? meanNanos : -Math.log(1 - random.nextDouble()) * meanNanos;
    }

    /// How many are due and not sent.
    long countDue(long nanoTime) {
        return nanoTime < next() ? 0 : 1 + (long) ((nanoTime - next()) / meanNanos);
    }
}
