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
    private final Object syncLock = new Object(); // held while the store synchronises

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
            } catch (OutOfMemoryError e) { // no thread is to be had
                LOG.error("image {}: {}; a flush is done by whoever asked", store.name(), e + "");
                syncWhileAnyoneWaits();
            }
        }
    }

    /// Records that written data may be lost. The first failure is the one that counts.
    void fail(String operation, String reason) {
        tell(record(operation, reason));
    }

    /// @return the failure, if it is the first
    private @Nullable DiskFailure record(String operation, String reason) {
        synchronized (lock) {
            if (failure != null) {
                return null;
            }
            DiskFailure first = new DiskFailure(store.name(), operation, reason, Instant.now());
            failure = first;
            return first;
        }
    }

    /// Not with a lock: who hears of it may ask.
    private void tell(@Nullable DiskFailure first) {
        if (first == null) {
            return;
        }
        List<Consumer<DiskFailure>> listeners;
        synchronized (lock) {
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
            answer(covered, sync());
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

    /// Makes every write stable that was answered before this call; waits for storage. One at a
    /// time, with what comes of it: the kernel tells of lost data once, to whoever asks first.
    ///
    /// @return `false` when some may be lost
    boolean sync() {
        DiskFailure first = null;
        synchronized (syncLock) {
            if (hasFailed()) {
                return false; // never again after a failure, see above
            }
            try {
                store.sync();
            } catch (IOException e) {
                first = record("flush", reason(e));
            } catch (RuntimeException e) {
                first = record("flush", e.toString());
            }
        }
        tell(first);
        // A write may have failed meanwhile: its data was acknowledged to nobody, but what the
        // kernel has written back before it is unknown too.
        return !hasFailed();
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
