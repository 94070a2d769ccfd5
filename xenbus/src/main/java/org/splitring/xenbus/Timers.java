package org.splitring.xenbus;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DeviceLoop;

/// Time of the control plane: passed in, so that a simulation holds the clock.
public interface Timers {
    /// Monotonic time, only good for differences.
    long nanoTime();

    /// Runs a short task later, once.
    ///
    /// @return cancels it when run, if it has not started
    Runnable schedule(Runnable task, long delayNanos);

    /// Real time. One daemon thread for all, gone when nothing is scheduled.
    static Timers system() {
        return SystemTimers.INSTANCE;
    }

    /// The time of a loop: its own thread runs the tasks.
    static Timers of(DeviceLoop loop) {
        return new Timers() {
            @Override
            public long nanoTime() {
                return loop.nanoTime();
            }

            @Override
            public Runnable schedule(Runnable task, long delayNanos) {
                return loop.schedule(task, delayNanos);
            }
        };
    }
}

final class SystemTimers implements Timers {
    static final SystemTimers INSTANCE = new SystemTimers();

    private final ScheduledThreadPoolExecutor executor;

    private SystemTimers() {
        executor =
                new ScheduledThreadPoolExecutor(
                        1, Thread.ofPlatform().daemon().name("xenbus-timers").factory());
        executor.setRemoveOnCancelPolicy(true);
        executor.setKeepAliveTime(1, TimeUnit.SECONDS);
        executor.allowCoreThreadTimeOut(true);
    }

    @Override
    public long nanoTime() {
        return System.nanoTime();
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        Future<?> scheduled = executor.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
        return () -> scheduled.cancel(false);
    }
}
