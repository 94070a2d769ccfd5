package org.splitring.blkfront;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The backend's state as the store has it: waited for with a deadline, or listened to.
final class BackendState implements AutoCloseable {
    private final Store store;
    private final String path;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Watch watch;

    // Guarded by lock.
    private XenbusState state = XenbusState.UNKNOWN;
    private boolean seen;
    private boolean lost;
    private @Nullable Consumer<XenbusState> listener;

    BackendState(Store store, String path) throws StoreException {
        this.store = store;
        this.path = path;
        this.watch = store.watch(path, ignored -> look());
        store.onLost(this::lost);
    }

    XenbusState current() {
        lock.lock();
        try {
            return state;
        } finally {
            lock.unlock();
        }
    }

    /// Tells `onChange` of the state now and whenever it changes.
    void onChange(Consumer<XenbusState> onChange) {
        XenbusState now;
        lock.lock();
        try {
            listener = onChange;
            now = state;
        } finally {
            lock.unlock();
        }
        onChange.accept(now);
    }

    /// Waits for a state.
    ///
    /// @return empty when none came within `limit`
    Optional<XenbusState> await(Duration limit, Predicate<XenbusState> wanted) {
        long left = limit.toNanos();
        lock.lock();
        try {
            while (!seen || !wanted.test(state)) {
                if (left <= 0 || lost) {
                    return Optional.empty();
                }
                left = changed.awaitNanos(left);
            }
            return Optional.of(state);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        } finally {
            lock.unlock();
        }
    }

    private void look() {
        try {
            set(XenbusState.parse(store.read(path).orElse("")));
        } catch (StoreException e) {
            set(XenbusState.UNKNOWN); // what cannot be read is as good as gone
        }
    }

    private void lost() {
        lock.lock();
        try {
            lost = true;
        } finally {
            lock.unlock();
        }
        set(XenbusState.UNKNOWN);
    }

    private void set(XenbusState now) {
        Consumer<XenbusState> toTell;
        lock.lock();
        try {
            toTell = !seen || state != now ? listener : null;
            state = now;
            seen = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (toTell != null) {
            toTell.accept(now);
        }
    }

    @Override
    public void close() {
        lock.lock();
        try {
            listener = null;
        } finally {
            lock.unlock();
        }
        watch.close();
    }
}
