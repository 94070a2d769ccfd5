package org.splitring.blkback;

import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Does what waits for storage in the place of a virtual thread. A system call holds the thread of
/// the system that carries a virtual one, and there are only as many of those as processors: two
/// images that are slow to close would hold up the handshakes of all devices.
final class StorageWait {
    private static final long IDLE_SECONDS = 5;

    private static final ThreadPoolExecutor THREADS =
            new ThreadPoolExecutor(
                    0,
                    Integer.MAX_VALUE, // those that ask are virtual threads, and wait
                    IDLE_SECONDS,
                    TimeUnit.SECONDS,
                    new SynchronousQueue<>(),
                    Thread.ofPlatform().daemon().name("storage-", 1).factory());

    private StorageWait() {}

    /// Lets a thread without work end after so long; for tests that count threads.
    static void endIdleAfter(long millis) {
        THREADS.setKeepAliveTime(millis, TimeUnit.MILLISECONDS);
    }

    /// Something that waits.
    @FunctionalInterface
    interface Work {
        void run() throws DiskException;
    }

    /// Something that waits, and has a result.
    @FunctionalInterface
    interface Question<T> {
        T ask() throws DiskException;
    }

    /// Does it and waits for its end.
    static void run(Work work) throws DiskException {
        var ignored =
                call(
                        () -> {
                            work.run();
                            return true;
                        });
    }

    /// Does it, waits for its end and gives its result.
    static <T> T call(Question<T> question) throws DiskException {
        if (!Thread.currentThread().isVirtual()) {
            return question.ask();
        }
        return CompletableFuture.supplyAsync(() -> Answer.of(question), THREADS).join().get();
    }

    /// Either of the two.
    private record Answer<T>(@Nullable T result, @Nullable DiskException failure) {
        static <T> Answer<T> of(Question<T> question) {
            try {
                return new Answer<>(question.ask(), null);
            } catch (DiskException e) {
                return new Answer<>(null, e);
            }
        }

        T get() throws DiskException {
            if (failure != null) {
                throw failure;
            }
            return Objects.requireNonNull(result);
        }
    }
}
