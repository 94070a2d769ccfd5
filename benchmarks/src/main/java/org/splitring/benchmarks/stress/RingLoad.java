package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.RingPair;

/// Requests over pairs of rings, without drivers: a thread for each requesting end.
final class RingLoad implements Load, AutoCloseable {
    private static final long PATIENCE_MILLIS = TimeUnit.SECONDS.toMillis(30);
    private static final long NAP_NANOS = 100_000_000; // at most, so that an end is seen

    /// Choices that all pairs share.
    ///
    /// @param depth requests under way at most; 0 for as many as the ring has slots
    /// @param batch requests that are published and answered at once, at most
    /// @param sleeps whether an end that waits sleeps until it is woken, or spins
    record Settings(int depth, int batch, boolean sleeps) {}

    private final LoadLogs logs;
    private final List<Asker> askers = new ArrayList<>();
    private final Settings settings;

    /// @param maker makes a pair
    RingLoad(int pairs, int entrySizeBytes, Settings settings, Pace pace, Callable<RingPair> maker)
            throws IOException {
        this.settings = settings;
        logs = new LoadLogs(List.of(new RequestKind("request", entrySizeBytes)), pace.isPaced());
        try {
            for (int i = 0; i < pairs; i++) {
                askers.add(
                        new Asker(
                                i,
                                maker.call(),
                                logs.addThread().getFirst(),
                                pace.arrivals(i, pairs)));
            }
        } catch (IOException e) {
            close();
            throw e;
        } catch (Exception e) {
            close();
            throw new StressException("a pair of rings: " + e, e);
        }
    }

    @Override
    public LoadLogs logs() {
        return logs;
    }

    @Override
    public void start(RunEnd end) {
        long begin = System.nanoTime();
        for (Asker asker : askers) {
            asker.start(end, begin);
        }
    }

    @Override
    public void stop() throws StressException, InterruptedException {
        for (Asker asker : askers) {
            asker.asking = false;
        }
        for (Asker asker : askers) {
            asker.join();
        }
    }

    @Override
    public Map<String, Long> counts() {
        Map<String, Long> counts = new TreeMap<>();
        counts.put("checked", askers.stream().mapToLong(asker -> asker.checked).sum());
        counts.put("unsent", askers.stream().mapToLong(asker -> asker.unsent).sum());
        return counts;
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (Asker asker : askers) {
            try {
                asker.pair.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    /// The requesting end of a pair, on a thread for each run.
    private final class Asker {
        private final int number;
        private final RingPair pair;
        private final KindLog log;
        private final @Nullable Arrivals arrivals;
        private final int depth;

        /// Of the requests under way, in a circle: answers come in order.
        private final long[] intended;

        private final long[] sent;
        private volatile boolean asking;
        private @Nullable Thread thread;
        private long checked; // these three are the thread's while it runs
        private long unsent;
        private long asked;

        Asker(int number, RingPair pair, KindLog log, @Nullable Arrivals arrivals) {
            this.number = number;
            this.pair = pair;
            this.log = log;
            this.arrivals = arrivals;
            depth =
                    settings.depth() == 0
                            ? pair.capacity()
                            : Math.min(settings.depth(), pair.capacity());
            intended = new long[pair.capacity()];
            sent = new long[pair.capacity()];
        }

        void start(RunEnd end, long begin) {
            checked = 0;
            unsent = 0;
            asked = 0;
            asking = true;
            thread =
                    Thread.ofPlatform()
                            .name("ring " + number)
                            .daemon()
                            .start(() -> run(end, begin));
        }

        void join() throws StressException, InterruptedException {
            Thread running = thread;
            if (running == null) {
                return;
            }
            running.join(PATIENCE_MILLIS);
            if (running.isAlive()) {
                throw new StressException(
                        "ring %d: no answer in %d s%s"
                                .formatted(
                                        number,
                                        PATIENCE_MILLIS / 1000,
                                        pair.isAlive() ? "" : ", its answering end is gone"));
            }
            thread = null;
        }

        private void run(RunEnd end, long begin) {
            if (settings.sleeps()) {
                pair.answerSleeping();
            } else {
                pair.answerSpinning(settings.batch());
            }
            if (arrivals != null) {
                arrivals.begin(begin);
            }
            try {
                ask();
            } catch (IllegalStateException e) {
                end.fail(
                        "ring %d, after %d answers: %s".formatted(number, checked, e.getMessage()));
            }
            pair.rest();
        }

        private void ask() {
            while (asking) {
                long now = System.nanoTime();
                int count = sendable(now);
                if (count > 0) {
                    send(count, now);
                }
                if (receive() == 0 && (count == 0 || asked - checked == depth)) {
                    waitForSomething(now);
                }
            }
            if (arrivals != null) {
                unsent = arrivals.countDue(System.nanoTime());
            }
            while (checked < asked) {
                if (receive() == 0) {
                    waitForAnswer();
                }
            }
        }

        /// How many are due, have room, and make a whole batch where nothing is due at a time.
        private int sendable(long now) {
            int room = depth - (int) (asked - checked);
            Arrivals times = arrivals;
            if (times == null) {
                int batch = Math.min(settings.batch(), depth);
                return room < batch ? 0 : batch;
            }
            return (int) Math.min(Math.min(room, settings.batch()), times.countDue(now));
        }

        private void send(int count, long now) {
            for (int i = 0; i < count; i++) {
                int at = (int) ((asked + i) % intended.length);
                intended[at] = now;
                sent[at] = now;
                if (arrivals != null) {
                    intended[at] = arrivals.next();
                    arrivals.advance();
                }
            }
            pair.send(count);
            asked += count;
        }

        private int receive() {
            int count = pair.receive();
            if (count > 0) {
                long now = System.nanoTime();
                for (int i = 0; i < count; i++) {
                    int at = (int) ((checked + i) % intended.length);
                    log.record(intended[at], sent[at], now);
                }
                checked += count;
            }
            return count;
        }

        /// For an answer, or with nothing under way for the time of the next request.
        private void waitForSomething(long now) {
            if (asked > checked) {
                waitForAnswer();
            } else if (arrivals != null) {
                long nap = Math.min(arrivals.next() - now, NAP_NANOS);
                if (settings.sleeps()) {
                    LockSupport.parkNanos(nap);
                } else {
                    Thread.onSpinWait();
                }
            }
        }

        private void waitForAnswer() {
            if (settings.sleeps()) {
                pair.awaitAnswer();
            } else {
                Thread.onSpinWait();
            }
        }
    }
}
