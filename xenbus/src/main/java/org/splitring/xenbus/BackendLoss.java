package org.splitring.xenbus;

import java.util.concurrent.Executor;

/// The time in which a device that was in use has no backend: how long it has waited for another,
/// and the growing pauses between its attempts.
///
/// Used in the tasks of one [FrontendMachine].
final class BackendLoss {
    private static final long FIRST_PAUSE_NANOS = 10_000_000;
    private static final long LONGEST_PAUSE_NANOS = 1_000_000_000;

    private final long waitNanos;
    private final Deadline deadline;
    private boolean waiting;
    private long pauseNanos;

    BackendLoss(FrontendOptions options, Timers timers, Executor tasks) {
        waitNanos = options.backendWait().toNanos();
        deadline = new Deadline(timers, tasks);
    }

    boolean isWaiting() {
        return waiting;
    }

    /// @param tooLate run when no backend was found in time
    void begin(Runnable tooLate) {
        waiting = true;
        pauseNanos = FIRST_PAUSE_NANOS;
        deadline.start(waitNanos, tooLate);
    }

    void stop() {
        waiting = false;
        deadline.stop();
    }

    /// How long to wait before the next attempt: twice as long as before the last one.
    long nextPauseNanos() {
        long pause = pauseNanos;
        pauseNanos = Math.min(2 * pauseNanos, LONGEST_PAUSE_NANOS);
        return pause;
    }
}
