package org.splitring.blkback;

import java.util.concurrent.atomic.AtomicLong;

/// What a vbd has done. Written by its loop only, read by any thread; lives as long as the backend,
/// over all connections of the frontend.
final class VbdCounters {
    final AtomicLong ooReq = new AtomicLong();
    final AtomicLong rdReq = new AtomicLong();
    final AtomicLong wrReq = new AtomicLong();
    final AtomicLong fReq = new AtomicLong();
    final AtomicLong rdSect = new AtomicLong();
    final AtomicLong wrSect = new AtomicLong();
    final AtomicLong errors = new AtomicLong();
    final AtomicLong inline = new AtomicLong();
    final AtomicLong inFlight = new AtomicLong();

    /// Adds without a locked instruction: there is one writer.
    static void add(AtomicLong counter, long amount) {
        counter.setRelease(counter.getPlain() + amount);
    }

    VbdMetrics snapshot() {
        return new VbdMetrics(
                ooReq.getAcquire(),
                rdReq.getAcquire(),
                wrReq.getAcquire(),
                fReq.getAcquire(),
                rdSect.getAcquire(),
                wrSect.getAcquire(),
                errors.getAcquire(),
                inline.getAcquire(),
                (int) inFlight.getAcquire());
    }
}
