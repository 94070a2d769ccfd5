package org.splitring.benchmarks.stress;

import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// Why a run ends before its time: a signal, or something that must not be. The first reason
/// counts. Any thread.
final class RunEnd {
    private final AtomicReference<@Nullable String> failure = new AtomicReference<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean interrupted;

    /// Somebody wants the report of what there is.
    void interrupt() {
        interrupted = true;
        ended.countDown();
    }

    /// What was found must not be.
    void fail(String what) {
        failure.compareAndSet(null, what);
        ended.countDown();
    }

    boolean isEnded() {
        return ended.getCount() == 0;
    }

    boolean isInterrupted() {
        return interrupted;
    }

    Optional<String> failure() {
        return Optional.ofNullable(failure.get());
    }

    /// Waits until a time of `System.nanoTime`.
    ///
    /// @return whether the run has ended before
    boolean awaitUntil(long nanoTime) throws InterruptedException {
        return ended.await(nanoTime - System.nanoTime(), TimeUnit.NANOSECONDS);
    }
}
