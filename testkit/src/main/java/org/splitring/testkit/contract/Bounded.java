package org.splitring.testkit.contract;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/// Waiting with a bound: what does not happen in time is a failed test that says what was waited
/// for.
final class Bounded {
    /// Long for a machine that is busy, short for somebody who waits.
    static volatile Duration patience = Duration.ofSeconds(15);

    /// The same where a process has to start first.
    static final Duration PROCESS_PATIENCE = Duration.ofSeconds(60);

    private static final long LOOK_NANOS = 2_000_000;

    private Bounded() {}

    /// Waits until a condition holds; an exception of it counts as not yet.
    static void until(Supplier<String> what, Callable<Boolean> condition) {
        until(patience, what, condition);
    }

    static void until(Duration limit, Supplier<String> what, Callable<Boolean> condition) {
        long end = System.nanoTime() + limit.toNanos();
        Exception last = null;
        while (true) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (Exception e) {
                last = e;
            }
            if (System.nanoTime() - end > 0) {
                throw new AssertionError(
                        "not within " + limit.toSeconds() + " s: " + what.get(), last);
            }
            LockSupport.parkNanos(LOOK_NANOS);
        }
    }

    static <T> T get(String what, CompletableFuture<T> future) {
        return get(patience, what, future);
    }

    static <T> T get(Duration limit, String what, CompletableFuture<T> future) {
        try {
            return future.get(limit.toSeconds(), TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("not within " + limit.toSeconds() + " s: " + what, e);
        } catch (ExecutionException e) {
            throw new AssertionError(what + ": " + e.getCause(), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(what, e);
        }
    }
}
