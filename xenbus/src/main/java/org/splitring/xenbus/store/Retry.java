package org.splitring.xenbus.store;

import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.LockSupport;

/// The loop around a transaction that every caller needs: on EAGAIN the whole body runs again.
final class Retry {
    private static final int MAX_RUNS = 1000;
    private static final int RUNS_WITHOUT_PAUSE = 4;
    private static final int MAX_PAUSE_NANOS = 500_000;

    @FunctionalInterface
    interface Start<X extends StoreAccess> {
        X start() throws StoreException;
    }

    @FunctionalInterface
    interface Commit<X extends StoreAccess> {
        void commit(X transaction) throws StoreException;
    }

    @FunctionalInterface
    interface Drop<X extends StoreAccess> {
        void drop(X transaction);
    }

    private Retry() {}

    static <X extends StoreAccess, T> T transaction(
            Start<X> start, Store.TransactionFunction<T> body, Commit<X> commit, Drop<X> drop)
            throws StoreException {
        for (int run = 1; ; run++) {
            X transaction = start.start();
            T result;
            boolean finished = false;
            try {
                result = body.apply(transaction);
                finished = true;
            } finally {
                if (!finished) {
                    drop.drop(transaction);
                }
            }
            try {
                commit.commit(transaction);
                return result;
            } catch (StoreException e) {
                if (e.error() != StoreError.EAGAIN || run == MAX_RUNS) {
                    throw e;
                }
            }
            if (run >= RUNS_WITHOUT_PAUSE) {
                // Random, so that two that conflicted do not meet again.
                LockSupport.parkNanos(ThreadLocalRandom.current().nextInt(MAX_PAUSE_NANOS));
            }
        }
    }
}
