package org.splitring.hypervisor;

import java.util.function.LongSupplier;
import org.slf4j.Logger;

/// Log lines that a guest can cause: at most one in a while per guest, with the number of those
/// that were kept back (hostile catalogue H-129). One thread.
public final class RateLimitedLog {
    private static final long INTERVAL_NANOS = 5_000_000_000L;

    private final Logger log;
    private final LongSupplier nanoClock;
    private long lastNanos;
    private long suppressed;

    public RateLimitedLog(Logger log) {
        this(log, System::nanoTime);
    }

    RateLimitedLog(Logger log, LongSupplier nanoClock) {
        this.log = log;
        this.nanoClock = nanoClock;
        lastNanos = nanoClock.getAsLong() - INTERVAL_NANOS;
    }

    /// How many lines wait to be counted in the next one.
    public long suppressed() {
        return suppressed;
    }

    /// Writes the line, or counts it when the last one is not long ago.
    ///
    /// @param who whom it is about, in words that its owner knows, such as `domain web`
    /// @param what our own words; nothing a guest has sent
    public void warn(String who, String what) {
        long now = nanoClock.getAsLong();
        if (now - lastNanos < INTERVAL_NANOS) {
            suppressed++;
            return;
        }
        lastNanos = now;
        if (suppressed == 0) {
            log.warn("{}: {}", who, what);
        } else {
            log.warn("{}: {} ({} such lines were left out)", who, what, suppressed);
        }
        suppressed = 0;
    }
}
