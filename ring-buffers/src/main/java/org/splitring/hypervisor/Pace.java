package org.splitring.hypervisor;

import java.util.concurrent.TimeUnit;

/// How much may pass: so much a second, and a burst before that. What passes may be more than there
/// is; the next then waits for as long as that takes. One thread.
///
/// Kept as the time at which all that has passed would have passed at the even rate; it may lie
/// ahead of now, and no further behind than a burst.
public final class Pace {
    private final long perSecond;
    private final long burstNanos;
    private long evenNanos;

    /// @param burstNanos how much may be saved up, as time at the even rate
    public Pace(long perSecond, long burstNanos, long nowNanos) {
        if (perSecond < 1 || burstNanos < 0) {
            throw new IllegalArgumentException(
                    perSecond + " a second, burst of " + burstNanos + " ns");
        }
        this.perSecond = perSecond;
        this.burstNanos = burstNanos;
        evenNanos = nowNanos - burstNanos;
    }

    /// Lets `count` pass, also when that is more than there is.
    ///
    /// @param count at most 2^33
    /// @return as [#waitNanos]
    public long take(long count, long nowNanos) {
        long earliest = nowNanos - burstNanos;
        if (evenNanos - earliest < 0) {
            evenNanos = earliest;
        }
        evenNanos += count * TimeUnit.SECONDS.toNanos(1) / perSecond;
        return waitNanos(nowNanos);
    }

    /// How long to wait before the next time, in nanoseconds.
    public long waitNanos(long nowNanos) {
        return Math.max(0, evenNanos - nowNanos);
    }
}
