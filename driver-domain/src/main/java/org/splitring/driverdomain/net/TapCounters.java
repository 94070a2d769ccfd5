package org.splitring.driverdomain.net;

import java.util.concurrent.atomic.LongAdder;

/// What went wrong between a TAP and what is behind it. Any thread.
public final class TapCounters {
    /// Frames of the interface that were too large, or had an offload that the other side has not.
    final LongAdder unsent = new LongAdder();

    /// Frames that the interface did not take: it is down, or they are no frames.
    final LongAdder unwritten = new LongAdder();

    TapCounters() {}

    public long unsent() {
        return unsent.sum();
    }

    public long unwritten() {
        return unwritten.sum();
    }
}
