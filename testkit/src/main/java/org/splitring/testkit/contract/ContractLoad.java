package org.splitring.testkit.contract;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.splitring.testkit.contract.DeviceContract.Instance;

/// Threads that work until they are stopped or their device ends.
final class ContractLoad implements AutoCloseable {
    private static final int WORKERS = 3;
    private static final long FAILED_PAUSE_NANOS = 1_000_000;

    private final DeviceContract contract;
    private final boolean stubborn;
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicLong done = new AtomicLong();
    private final List<CompletableFuture<Void>> workers = new ArrayList<>();

    /// Workers that stop at their first failure.
    ContractLoad(DeviceContract contract, Instance device) {
        this(contract, device, false);
    }

    private ContractLoad(DeviceContract contract, Instance device, boolean stubborn) {
        this.contract = contract;
        this.stubborn = stubborn;
        for (int i = 0; i < WORKERS; i++) {
            CompletableFuture<Void> ended = new CompletableFuture<>();
            workers.add(ended);
            Thread.ofVirtual().start(() -> work(device, ended));
        }
    }

    /// Workers that go on when their work fails, for a device that is under attack.
    static ContractLoad stubborn(DeviceContract contract, Instance device) {
        return new ContractLoad(contract, device, true);
    }

    private void work(Instance device, CompletableFuture<Void> ended) {
        while (!stop.get()) {
            try {
                contract.work(device);
                done.incrementAndGet();
            } catch (Throwable e) { // the test looks at it
                if (!stubborn) {
                    ended.completeExceptionally(e);
                    return;
                }
                LockSupport.parkNanos(FAILED_PAUSE_NANOS);
            }
        }
        ended.complete(null);
    }

    /// Waits until more work has been done than now.
    void progress(int pieces) {
        long wanted = done.get() + pieces;
        Bounded.until(
                () -> pieces + " more pieces of work, " + failures(), () -> done.get() >= wanted);
    }

    long done() {
        return done.get();
    }

    private String failures() {
        List<String> failures = new ArrayList<>();
        for (CompletableFuture<Void> worker : workers) {
            if (worker.isCompletedExceptionally()) {
                failures.add(String.valueOf(worker.exceptionNow()));
            }
        }
        return "failed: " + failures;
    }

    /// Every worker must be at its end, whether its last work succeeded or not.
    void awaitEnded() {
        stop.set(true);
        Bounded.until(
                () -> "all work is answered or refused",
                () -> workers.stream().allMatch(CompletableFuture::isDone));
    }

    /// Nothing may have failed.
    @Override
    public void close() {
        awaitEnded();
        workers.forEach(worker -> Bounded.get("work under load", worker));
    }
}
