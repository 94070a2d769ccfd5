package org.splitring.benchmarks.stress;

import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.splitring.hypervisor.DeviceLoop;

/// Calls on the loop that owns some state, from outside of it.
final class OnLoop {
    private static final int PATIENCE_SECONDS = 30;

    private OnLoop() {}

    /// @param what for messages
    static <T> T call(DeviceLoop loop, String what, Callable<T> call)
            throws StressException, InterruptedException {
        CompletableFuture<T> result = new CompletableFuture<>();
        loop.execute(
                () -> {
                    try {
                        result.complete(call.call());
                    } catch (Exception e) {
                        result.completeExceptionally(e);
                    }
                });
        return await(result, what);
    }

    /// Waits for something that a loop completes.
    static <T> T await(CompletableFuture<T> result, String what)
            throws StressException, InterruptedException {
        try {
            return result.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw new StressException(what + ": " + e.getCause(), e);
        } catch (TimeoutException e) {
            throw new StressException(what + ": no answer in " + PATIENCE_SECONDS + " s", e);
        }
    }
}
