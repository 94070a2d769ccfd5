package org.splitring.netback;

import java.util.concurrent.atomic.AtomicLong;

/// What a vif has done. Written by its loop only, read by any thread; lives as long as the backend,
/// over all connections of the frontend. What each counts says [VifMetrics].
final class VifCounters {
    final AtomicLong txPackets = new AtomicLong();
    final AtomicLong txBytes = new AtomicLong();
    final AtomicLong txErrors = new AtomicLong();
    final AtomicLong txGrantErrors = new AtomicLong();
    final AtomicLong txChecksumErrors = new AtomicLong();
    final AtomicLong txGsoChecksumFixup = new AtomicLong();
    final AtomicLong txRateLimited = new AtomicLong();
    final AtomicLong rxPackets = new AtomicLong();
    final AtomicLong rxBytes = new AtomicLong();
    final AtomicLong rxErrors = new AtomicLong();
    final AtomicLong rxDropped = new AtomicLong();
    final AtomicLong rxExpired = new AtomicLong();
    final AtomicLong rxNotConnected = new AtomicLong();
    final AtomicLong rxMulticastFiltered = new AtomicLong();
    final AtomicLong rxQueuedPackets = new AtomicLong();
    final AtomicLong rxQueuedBytes = new AtomicLong();
    final AtomicLong stalls = new AtomicLong();

    /// Adds without a locked instruction: there is one writer.
    static void add(AtomicLong counter, long amount) {
        counter.setRelease(counter.getPlain() + amount);
    }

    VifMetrics snapshot() {
        return new VifMetrics(
                txPackets.getAcquire(),
                txBytes.getAcquire(),
                txErrors.getAcquire(),
                txGrantErrors.getAcquire(),
                txChecksumErrors.getAcquire(),
                txGsoChecksumFixup.getAcquire(),
                txRateLimited.getAcquire(),
                rxPackets.getAcquire(),
                rxBytes.getAcquire(),
                rxErrors.getAcquire(),
                rxDropped.getAcquire(),
                rxExpired.getAcquire(),
                rxNotConnected.getAcquire(),
                rxMulticastFiltered.getAcquire(),
                (int) rxQueuedPackets.getAcquire(),
                (int) rxQueuedBytes.getAcquire(),
                stalls.getAcquire());
    }
}
