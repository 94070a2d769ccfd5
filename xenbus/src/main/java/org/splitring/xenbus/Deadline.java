package org.splitring.xenbus;

import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/// One timer of a machine. Starting it again replaces what it was to do; what was replaced or
/// stopped does not run any more, also when its time had come already.
///
/// Called in the tasks of the machine, which run what is due.
final class Deadline {
    private final Timers timers;
    private final Executor tasks;
    private @Nullable Runnable cancel;
    private int starts;

    Deadline(Timers timers, Executor tasks) {
        this.timers = timers;
        this.tasks = tasks;
    }

    void start(long delayNanos, Runnable due) {
        stop();
        int number = ++starts;
        Runnable fire =
                () -> {
                    if (number == starts && cancel != null) {
                        cancel = null;
                        due.run();
                    }
                };
        cancel = timers.schedule(() -> tasks.execute(fire), delayNanos);
    }

    boolean isRunning() {
        return cancel != null;
    }

    void stop() {
        Runnable running = cancel;
        cancel = null;
        if (running != null) {
            running.run();
        }
    }
}
