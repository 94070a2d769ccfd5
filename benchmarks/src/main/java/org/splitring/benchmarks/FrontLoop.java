package org.splitring.benchmarks;

import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;

/// Drives a contender's requesting end and measures: the same loops as in `ringbench.c`.
///
/// A throughput is the median over slices of 5 ms, each the responses of the slice by its time; a
/// latency is over all round trips of a run and includes two readings of the clock.
final class FrontLoop {
    private static final long SLICE_NANOS = 5_000_000;
    private static final int PASSES_PER_CLOCK = 256;
    private static final int MAX_SLICES = 100_000;
    private static final int MAX_SAMPLES = 4_000_000;
    private static final int WARMUP_BURSTS = 200;
    private static final int BLOCKING_WARMUP_BURSTS = 2000;
    private static final int BLOCKING_WARMUP_TRIPS = 30;
    private static final long WARMUP_BURST_NANOS = 2_000_000;
    private static final long WARMUP_PAUSE_NANOS = 4_000_000;
    private static final int SETTLING_ROUNDS = 20;
    private static final int SETTLING_BURSTS = 30;
    private static final long SETTLING_PAUSE_NANOS = 60_000_000;

    private final CompilationMXBean compilers = ManagementFactory.getCompilationMXBean();
    private final RingFront front;
    private final Control control;
    private final Doorbell toFront;
    private final Doorbell toBack;
    private final double[] rates = new double[MAX_SLICES];
    private final int[] samples = new int[MAX_SAMPLES];

    FrontLoop(RingFront front, Control control, Doorbell toFront, Doorbell toBack) {
        this.front = front;
        this.control = control;
        this.toFront = toFront;
        this.toBack = toBack;
    }

    /// Runs tests by their names, and prints a line `TEST METRIC VALUE` for each figure.
    void run(Iterable<String> tests, long nanos) {
        for (String test : tests) {
            warmUp(test, nanos);
            if (test.startsWith("batch-")) {
                int slices = runThroughput(test, nanos);
                if (slices == 0) {
                    throw new IllegalArgumentException("the run is too short: " + nanos + " ns");
                }
                Arrays.sort(rates, 0, slices);
                System.out.printf("%s pairs_per_second %.0f%n", test, rates[slices / 2]);
            } else {
                int count = runLatency(test, nanos);
                Arrays.sort(samples, 0, count);
                System.out.printf("%s p50_ns %d%n", test, samples[(int) (count * 500L / 1000)]);
                System.out.printf("%s p99_ns %d%n", test, samples[(int) (count * 990L / 1000)]);
                System.out.printf("%s p99_9_ns %d%n", test, samples[(int) (count * 999L / 1000)]);
            }
        }
    }

    /// Very short bursts with longer pauses between them: in a pause both ends leave their loops,
    /// so that the compilers get a processor before much is queued for them. Two ends that spin all
    /// the time would starve them: methods then run without a profile for a while (tier 2), and
    /// what is compiled from such a profile leaves calls in the loop that are otherwise inlined.
    ///
    /// Two ends that block leave the compilers a processor anyway. Their bursts are counted in
    /// round trips, which take some 50 µs each: HotSpot compiles a method for good (tier 4) when,
    /// after some 200 calls, it has seen 600 more and 15000 calls and loop rounds. With fewer it
    /// does so while it is measured, and a compiler that runs on one of the two processors makes a
    /// round trip wait for a time slice of some milliseconds.
    private void warmUp(String test, long nanos) {
        long affordable = nanos / WARMUP_BURST_NANOS;
        boolean shortRun = affordable < SETTLING_BURSTS;
        long bursts;
        if (test.equals("blocking")) {
            bursts = shortRun ? 6 * affordable : BLOCKING_WARMUP_BURSTS;
        } else {
            bursts = Math.min(WARMUP_BURSTS, affordable);
        }
        for (long burst = 0; burst < bursts; burst++) {
            burst(test);
        }
        if (!shortRun) {
            settle(test);
        }
    }

    /// Goes on until neither end has compiled anything in a pause and the bursts before it. In the
    /// pause both ends are idle, so that a compiler that is at work comes to its end.
    private void settle(String test) {
        long before = -1;
        for (int round = 0; round < SETTLING_ROUNDS; round++) {
            LockSupport.parkNanos(SETTLING_PAUSE_NANOS);
            long now = compilers.getTotalCompilationTime() + control.compilationMillis();
            if (now == before) {
                return;
            }
            before = now;
            for (int burst = 0; burst < SETTLING_BURSTS; burst++) {
                burst(test);
            }
        }
    }

    private void burst(String test) {
        if (test.equals("blocking")) {
            runBlocking(4 * WARMUP_BURST_NANOS, BLOCKING_WARMUP_TRIPS);
            return;
        }
        if (test.startsWith("batch-")) {
            runThroughput(test, WARMUP_BURST_NANOS);
        } else {
            runLatency(test, WARMUP_BURST_NANOS);
        }
        LockSupport.parkNanos(WARMUP_PAUSE_NANOS);
    }

    int runThroughput(String test, long nanos) {
        int batch = Integer.parseInt(test.substring("batch-".length()));
        control.tell(batch, toBack);
        int slices = throughput(batch, nanos);
        control.tell(Control.IDLE, toBack);
        return slices;
    }

    int runLatency(String test, long nanos) {
        if (test.equals("blocking")) {
            return runBlocking(nanos, Long.MAX_VALUE);
        }
        control.tell(1, toBack);
        int count = spinning(nanos);
        control.tell(Control.IDLE, toBack);
        return count;
    }

    private int runBlocking(long nanos, long maxTrips) {
        control.tell(Control.BLOCKING, toBack);
        int count = blocking(nanos, maxTrips);
        control.tell(Control.IDLE, toBack);
        return count;
    }

    /// Keeps as many whole batches outstanding as fit.
    private int throughput(int batch, long nanos) {
        int capacity = front.capacity();
        int outstanding = 0;
        int slices = 0;
        int untilClock = PASSES_PER_CLOCK;
        long done = 0;
        long start = System.nanoTime();
        long sliceStart = start;
        while (true) {
            while (capacity - outstanding >= batch) {
                if (front.send(batch)) {
                    toBack.ring();
                }
                outstanding += batch;
            }
            int received = front.awaitResponses();
            outstanding -= received;
            done += received;
            if (--untilClock == 0) {
                untilClock = PASSES_PER_CLOCK;
                long now = System.nanoTime();
                if (now - sliceStart >= SLICE_NANOS) {
                    if (slices < rates.length) {
                        rates[slices++] = done * 1e9 / (now - sliceStart);
                    }
                    done = 0;
                    sliceStart = now;
                }
                if (now - start >= nanos) {
                    break;
                }
            }
        }
        while (outstanding > 0) {
            outstanding -= front.awaitResponses();
        }
        return slices;
    }

    private int spinning(long nanos) {
        long start = System.nanoTime();
        long end = start;
        int count = 0;
        while (end - start < nanos) {
            long begin = System.nanoTime();
            if (front.send(1)) {
                toBack.ring();
            }
            front.awaitResponses();
            end = System.nanoTime();
            if (count < samples.length) {
                samples[count++] = (int) (end - begin);
            }
        }
        return count;
    }

    private int blocking(long nanos, long maxTrips) {
        long start = System.nanoTime();
        long end = start;
        int count = 0;
        for (long trip = 0; trip < maxTrips && end - start < nanos; trip++) {
            long begin = System.nanoTime();
            if (front.send(1)) {
                toBack.ring();
            }
            while (front.receive() == 0) {
                if (!front.finalCheck()) {
                    toFront.await();
                }
            }
            end = System.nanoTime();
            if (count < samples.length) {
                samples[count++] = (int) (end - begin);
            }
        }
        return count;
    }
}
