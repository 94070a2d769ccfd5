package org.splitring.netfront;

import java.util.concurrent.atomic.AtomicLong;

/// What a vif has done. Written by its loop only, read by any thread; lives as long as the
/// frontend, over all connections. What each counts says [VifMetrics].
final class VifCounters {
    final AtomicLong txPackets = new AtomicLong();
    final AtomicLong txBytes = new AtomicLong();
    final AtomicLong txErrors = new AtomicLong();
    final AtomicLong txLost = new AtomicLong();
    final AtomicLong rxPackets = new AtomicLong();
    final AtomicLong rxBytes = new AtomicLong();
    final AtomicLong rxErrors = new AtomicLong();
    final AtomicLong rxGsoChecksumFixup = new AtomicLong();

    /// Adds without a locked instruction: there is one writer.
    static void add(AtomicLong counter, long amount) {
        counter.setRelease(counter.getPlain() + amount);
    }

    VifMetrics snapshot() {
        return new VifMetrics(
                txPackets.getAcquire(),
                txBytes.getAcquire(),
                txErrors.getAcquire(),
                txLost.getAcquire(),
                rxPackets.getAcquire(),
                rxBytes.getAcquire(),
                rxErrors.getAcquire(),
                rxGsoChecksumFixup.getAcquire());
    }
}
