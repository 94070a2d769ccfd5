package org.splitring.xenbus;

import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;

/// The log of failures that a guest causes as often as it likes: one line in a second at most,
/// which says how many there were before it.
///
/// Used in the tasks of one machine.
final class FailureLog {
    private static final long INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final Logger log;
    private final Timers timers;
    private long lastNanos;
    private long unlogged;

    FailureLog(Logger log, Timers timers) {
        this.log = log;
        this.timers = timers;
        lastNanos = timers.nanoTime() - INTERVAL_NANOS;
    }

    /// @param whose made into text only when the line is written
    void add(Object whose, String reason) {
        long now = timers.nanoTime();
        if (now - lastNanos < INTERVAL_NANOS) {
            unlogged++;
            return;
        }
        lastNanos = now;
        if (unlogged > 0) {
            log.warn("{}: {} ({} more failures before)", whose, reason, unlogged);
            unlogged = 0;
        } else {
            log.warn("{}: {}", whose, reason);
        }
    }
}
