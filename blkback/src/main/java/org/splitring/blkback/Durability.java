package org.splitring.blkback;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What keeps the promise of a flush, one for each open image, shared by all who export it.
///
/// **Started after.** A flush is answered by a synchronisation that *started* after the flush came
/// in. One that was running then may have passed the data already; it does not count. At most one
/// runs at a time, and all flushes that came in while it ran share the next one:
///
///     flush A ──┐ sync 1 starts ........ sync 1 ends: A answered
///     flush B ─────────┐  (waits)        sync 2 starts ........ sync 2 ends: B and C answered
///     flush C ────────────┐  (waits)
///
/// **Failed stays failed.** After a failed synchronisation Linux marks the lost pages clean, so
/// that the next one would succeed without the data. Therefore the first failure of a
/// synchronisation or of a write ends it: every later write and flush is refused, here and for
/// every other exporter, until the image is opened again. Reads go on.
///
/// Any thread. The lock is held for a few list operations and never during a synchronisation.
final class Durability {
    private static final Logger LOG = LoggerFactory.getLogger(Durability.class);

    private final BlockStore store;
    private final boolean flushDoesNothing;
    private final Executor syncExecutor;
    private final Object lock = new Object();

    // Guarded by lock.
    private List<FlushListener> waiting = new ArrayList<>();
    private boolean syncing;
    private long syncsStarted;
    private final List<Consumer<DiskFailure>> failureListeners = new ArrayList<>();

    private volatile @Nullable DiskFailure failure;

    /// @param syncExecutor runs synchronisations; they wait for storage
    Durability(BlockStore store, boolean flushDoesNothing, Executor syncExecutor) {
        this.store = store;
        this.flushDoesNothing = flushDoesNothing;
        this.syncExecutor = syncExecutor;
    }

    /// Whether writes and flushes are refused. One volatile read: asked for each write.
    boolean hasFailed() {
        return failure != null;
    }

    @Nullable DiskFailure failure() {
        return failure;
    }

    /// How many synchronisations have been started.
    long syncsStarted() {
        synchronized (lock) {
            return syncsStarted;
        }
    }

    /// Makes every write stable that was answered before this call, then tells `listener`.
    void flush(FlushListener listener) {
        if (hasFailed() || flushDoesNothing) {
            listener.flushed(!hasFailed());
            return;
        }
        boolean start;
        synchronized (lock) {
            waiting.add(listener);
            start = !syncing;
            syncing = true;
        }
        if (start) {
            try {
                syncExecutor.execute(this::syncWhileAnyoneWaits);
            } catch (RejectedExecutionException e) {
                fail("flush", "the image is closed");
                syncWhileAnyoneWaits(); // answers them: a failed disk is not synchronised
            }
        }
    }

    /// Records that written data may be lost. The first failure is the one that counts.
    void fail(String operation, String reason) {
        DiskFailure first;
        List<Consumer<DiskFailure>> listeners;
        synchronized (lock) {
            if (failure != null) {
                return;
            }
            first = new DiskFailure(store.name(), operation, reason, Instant.now());
            failure = first;
            listeners = List.copyOf(failureListeners);
        }
        LOG.error("{}; no write or flush succeeds until it is opened again", first);
        listeners.forEach(listener -> listener.accept(first));
    }

    /// Tells `listener` of the failure, now or when it happens. It hands over and returns.
    void onFailure(Consumer<DiskFailure> listener) {
        DiskFailure already;
        synchronized (lock) {
            failureListeners.add(listener);
            already = failure;
        }
        if (already != null) {
            listener.accept(already);
        }
    }

    void removeFailureListener(Consumer<DiskFailure> listener) {
        synchronized (lock) {
            failureListeners.remove(listener);
        }
    }

    private void syncWhileAnyoneWaits() {
        // Who is in this list came before the synchronisation below starts; who comes during it
        // finds `syncing` set and is in the next list.
        for (List<FlushListener> covered = takeWaitingOrStop();
                !covered.isEmpty();
                covered = takeWaitingOrStop()) {
            boolean stable = sync();
            // A write may have failed meanwhile: its data was acknowledged to nobody, but what the
            // kernel has written back before it is unknown too.
            answer(covered, stable && !hasFailed());
        }
    }

    private List<FlushListener> takeWaitingOrStop() {
        synchronized (lock) {
            if (waiting.isEmpty()) {
                syncing = false;
                return List.of();
            }
            List<FlushListener> covered = waiting;
            waiting = new ArrayList<>();
            syncsStarted++;
            return covered;
        }
    }

    private boolean sync() {
        if (hasFailed()) {
            return false; // never again after a failure, see above
        }
        try {
            store.sync();
            return true;
        } catch (IOException e) {
            fail("flush", reason(e));
            return false;
        } catch (RuntimeException e) {
            fail("flush", e.toString());
            return false;
        }
    }

    private static void answer(List<FlushListener> listeners, boolean stable) {
        for (FlushListener listener : listeners) {
            try {
                listener.flushed(stable);
            } catch (RuntimeException e) {
                LOG.error("a flush could not be answered", e); // the others are answered
            }
        }
    }

    static String reason(IOException e) {
        String message = e.getMessage();
        return message == null ? e.toString() : message;
    }
}
