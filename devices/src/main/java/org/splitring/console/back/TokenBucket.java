package org.splitring.console.back;

import java.util.concurrent.TimeUnit;

/// How much may pass: so many a second, and a burst before that. One thread.
///
/// Kept as the time at which all that has passed would have passed at the even rate; it may lie
/// ahead of now, and no further behind than a burst.
final class TokenBucket {
    private final long perSecond;
    private final long burstNanos;
    private long evenNanos;

    TokenBucket(long perSecond, long burst, long nowNanos) {
        this.perSecond = perSecond;
        burstNanos = nanos(burst);
        evenNanos = nowNanos - burstNanos;
    }

    /// Lets `count` pass, also when that is more than there is.
    ///
    /// @return how long to wait before the next time, in nanoseconds
    long take(int count, long nowNanos) {
        long earliest = nowNanos - burstNanos;
        if (evenNanos - earliest < 0) {
            evenNanos = earliest;
        }
        evenNanos += nanos(count);
        return Math.max(0, evenNanos - nowNanos);
    }

    private long nanos(long count) {
        return count * TimeUnit.SECONDS.toNanos(1) / perSecond;
    }
}
