package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.linux.Affinity;

/// How fast the processors are just now, by work on registers and a few lines of private memory.
///
/// The processor of a virtual machine is often one of two threads of a core of the host. When
/// somebody else uses the other thread, all runs at a half to two thirds of its speed, and nothing
/// inside the machine says so: neither its load nor the time stolen from it. So rows whose rounds
/// were measured at different speeds show the host, and not what they measure.
final class CoreSpeed {
    private static final long SAMPLE_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
    private static final int WORDS = 1024; // a sixth of the nearest cache
    private static final double LIKE = 0.9;

    private final List<Double> rates = new ArrayList<>(); // pieces of work in a nanosecond

    /// Measures every processor that this process may use, all at the same time.
    void sample() throws IOException, InterruptedException {
        if (rates.isEmpty()) {
            for (int i = 0; i < 10; i++) {
                rates(); // until it is compiled
            }
        }
        rates.addAll(rates());
    }

    private static List<Double> rates() throws IOException, InterruptedException {
        List<FutureTask<Double>> tasks = new ArrayList<>();
        for (int cpu : Affinity.processors()) {
            FutureTask<Double> task =
                    new FutureTask<>(
                            () -> {
                                Affinity.pin(cpu);
                                return rate();
                            });
            Thread.ofPlatform().daemon().start(task);
            tasks.add(task);
        }
        List<Double> found = new ArrayList<>();
        for (FutureTask<Double> task : tasks) {
            try {
                found.add(task.get());
            } catch (ExecutionException e) {
                throw new IOException("a processor's speed cannot be measured", e.getCause());
            }
        }
        return found;
    }

    private static double rate() {
        long[] memory = new long[WORDS];
        long begin = System.nanoTime();
        long pieces = 0;
        long now;
        do {
            work(memory);
            pieces++;
            now = System.nanoTime();
        } while (now - begin < SAMPLE_NANOS);
        if (memory[1] == 0) {
            throw new AssertionError("nothing was done");
        }
        return (double) pieces / (now - begin);
    }

    /// Sums that do not wait for each other: these suffer from who shares the core.
    private static void work(long[] memory) {
        long a = 1;
        long b = 2;
        long c = 3;
        long d = 4;
        for (int i = 0; i + 2 < memory.length; i += 3) {
            a += i;
            b ^= i;
            c += b;
            d ^= a;
            memory[i] += a;
            memory[i + 1] += c;
            memory[i + 2] ^= d;
        }
    }

    /// What is to be known of the samples.
    @Override
    public String toString() {
        return describe(rates);
    }

    static String describe(List<Double> rates) {
        double[] sorted = rates.stream().mapToDouble(it -> it).sorted().toArray();
        double best = sorted[sorted.length - 1];
        double median = sorted[(sorted.length - 1) / 2] / best;
        String text =
                "note: between the runs the processors had %.2f of their best speed (%.2f at least, %d samples)"
                        .formatted(median, sorted[0] / best, sorted.length);
        return median < LIKE ? text + ": others here or on this host use them" : text;
    }
}
