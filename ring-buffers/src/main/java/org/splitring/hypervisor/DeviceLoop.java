package org.splitring.hypervisor;

import java.util.concurrent.Executor;

/// The thread that owns a device queue, seen from its drivers: a Netty event loop, or the one
/// thread of a seeded simulation. Time comes from here too, so that a simulation can hold the
/// clock.
public interface DeviceLoop extends Executor {
    /// Runs `task` on the loop, after what is queued already. Any thread.
    @Override
    void execute(Runnable task);

    /// Runs `task` on the loop after `delayNanos`. Any thread.
    ///
    /// @return cancels it when run, if it has not started
    Runnable schedule(Runnable task, long delayNanos);

    /// Whether the caller is this loop's thread.
    boolean inLoop();

    /// Monotonic time in nanoseconds, only good for differences.
    long nanoTime();

    /// How long an idle poller may go on looking before it sleeps, in nanoseconds; 0 where no
    /// processor is free for that.
    long spinNanos();

    /// Whether another task waits for its turn: then whoever looks on for work gives way. On the
    /// loop.
    default boolean isWanted() {
        return false;
    }
}
