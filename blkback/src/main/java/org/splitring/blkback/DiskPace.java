package org.splitring.blkback;

import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.Pace;

/// The limits of one vbd, for all its rings together. A request begins when nothing is owed, and
/// then owes what it takes: so one of any size passes at any rate, and the rate holds in the long
/// run. On the loop.
final class DiskPace {
    private @Nullable Pace bytes;
    private @Nullable Pace operations;

    /// @param rate what applies from now on; what was owed or saved up is forgotten
    void limit(DiskRate rate, long nowNanos) {
        long burstNanos = TimeUnit.MILLISECONDS.toNanos(rate.burstMillis());
        bytes =
                rate.bytesPerSecond() == 0
                        ? null
                        : new Pace(rate.bytesPerSecond(), burstNanos, nowNanos);
        operations =
                rate.operationsPerSecond() == 0
                        ? null
                        : new Pace(rate.operationsPerSecond(), burstNanos, nowNanos);
    }

    boolean isLimited() {
        return bytes != null || operations != null;
    }

    /// How long until the next request may begin, in nanoseconds.
    long waitNanos(long nowNanos) {
        long wait = bytes == null ? 0 : bytes.waitNanos(nowNanos);
        return operations == null ? wait : Math.max(wait, operations.waitNanos(nowNanos));
    }

    void noteOperation(long nowNanos) {
        if (operations != null) {
            operations.take(1, nowNanos);
        }
    }

    void noteData(long sizeBytes, long nowNanos) {
        if (bytes != null) {
            bytes.take(sizeBytes, nowNanos);
        }
    }
}
