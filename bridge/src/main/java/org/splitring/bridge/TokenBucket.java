package org.splitring.bridge;

/// How much may pass: so many units a second, and a burst before that. Integer arithmetic that
/// loses nothing, so that the long-run rate is the configured one. The network's loop.
final class TokenBucket {
    private static final long SCALE = 1_000_000_000L;

    /// Above this a burst cannot be counted in billionths.
    static final long MAX_BURST = Long.MAX_VALUE / SCALE;

    private final long perSecond;
    private final long full;
    private final long fillNanos;
    /// In billionths of a unit.
    private long credit;

    private long filledNanos;

    /// @param burst units that may pass at once, at least 1
    TokenBucket(long perSecond, long burst, long nowNanos) {
        if (perSecond < 1 || burst < 1 || burst > MAX_BURST) {
            throw new IllegalArgumentException("rate " + perSecond + " burst " + burst);
        }
        this.perSecond = perSecond;
        full = burst * SCALE;
        fillNanos = full / perSecond + 1;
        credit = full;
        filledNanos = nowNanos;
    }

    /// Takes `units` if there are so many.
    ///
    /// @return whether they may pass
    boolean take(long units, long nowNanos) {
        long elapsed = nowNanos - filledNanos;
        if (elapsed > 0) {
            // What is longer than a whole filling would overflow the product, and is full anyway.
            credit = elapsed >= fillNanos ? full : Math.min(full, credit + elapsed * perSecond);
            filledNanos = nowNanos;
        }
        long cost = units * SCALE;
        if (credit < cost) {
            return false;
        }
        credit -= cost;
        return true;
    }
}
