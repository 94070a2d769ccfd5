package org.splitring.netback;

/// The rate limit of one vif: so many bytes in each interval, given at the interval's start. What
/// is not used adds up, to [#MIN_BURST_BYTES] or one interval's worth, whichever is more, so that
/// the largest frame gets through at any rate. For all queues of the vif together. On the loop.
///
/// Source: xl's `rate=`; Linux's `tx_add_credit`, which gives the whole credit to each queue.
final class CreditBucket {
    /// As much as may always be saved: two of the largest frames.
    static final long MIN_BURST_BYTES = 131_072;

    private long bytesPerInterval; // 0: no limit
    private long intervalNanos;
    private long burstBytes;
    private long creditBytes;
    private long intervalStart;

    /// Begins with the credit of one interval.
    ///
    /// @param rate what applies from now on
    void limit(VifRate rate, long nowNanos) {
        bytesPerInterval = rate.isLimited() ? rate.bytesPerInterval() : 0;
        intervalNanos = rate.intervalMicros() * 1000;
        burstBytes = Math.max(MIN_BURST_BYTES, bytesPerInterval);
        creditBytes = bytesPerInterval;
        intervalStart = nowNanos;
    }

    boolean isLimited() {
        return bytesPerInterval != 0;
    }

    /// Takes the credit for a frame, if there is enough.
    boolean take(int sizeBytes, long nowNanos) {
        if (bytesPerInterval == 0) {
            return true;
        }
        if (creditBytes < sizeBytes) {
            addCredit(nowNanos);
            if (creditBytes < sizeBytes) {
                return false;
            }
        }
        creditBytes -= sizeBytes;
        return true;
    }

    private void addCredit(long nowNanos) {
        long elapsed = nowNanos - intervalStart;
        if (elapsed < intervalNanos) {
            return;
        }
        long intervals = elapsed / intervalNanos;
        intervalStart += intervals * intervalNanos;
        long missing = burstBytes - creditBytes;
        // Divided, not multiplied: any rate and any time fit.
        creditBytes =
                intervals > missing / bytesPerInterval
                        ? burstBytes
                        : creditBytes + intervals * bytesPerInterval;
    }

    /// How long a frame that was refused just now has to wait.
    long waitNanos(int sizeBytes, long nowNanos) {
        long missing = sizeBytes - creditBytes;
        long intervals = (missing + bytesPerInterval - 1) / bytesPerInterval;
        return Math.max(1, intervals * intervalNanos - (nowNanos - intervalStart));
    }
}
