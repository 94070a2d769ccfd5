package org.splitring.testkit.contract;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.splitring.testkit.contract.DeviceContract.Instance;

/// Threads that work until they are stopped or their device ends.
final class ContractLoad implements AutoCloseable {
    private static final int WORKERS = 3;

    private final DeviceContract contract;
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicLong done = new AtomicLong();
    private final List<CompletableFuture<Void>> workers = new ArrayList<>();

    ContractLoad(DeviceContract contract, Instance device) {
        this.contract = contract;
        for (int i = 0; i < WORKERS; i++) {
            CompletableFuture<Void> ended = new CompletableFuture<>();
            workers.add(ended);
            Thread.ofVirtual().start(() -> work(device, ended));
        }
    }

    private void work(Instance device, CompletableFuture<Void> ended) {
        try {
            while (!stop.get()) {
                contract.work(device);
                done.incrementAndGet();
            }
            ended.complete(null);
        } catch (Throwable e) { // the test looks at it
            ended.completeExceptionally(e);
        }
    }

    /// Waits until more work has been done than now.
    void progress(int pieces) {
        long wanted = done.get() + pieces;
        Bounded.until(
                () -> pieces + " more pieces of work, " + failures(), () -> done.get() >= wanted);
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
