package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// Connected guests of ours that do nothing, with the driver domain that serves them.
///
/// @param processes all of them
record IdleContender(int guests, List<Long> processes) implements Contender {
    IdleContender {
        processes = List.copyOf(processes);
    }

    @Override
    public String subject() {
        return "splitring";
    }

    @Override
    public String variant(String test) {
        return "idle/" + test;
    }

    /// How much of one processor all take together.
    List<Figure> run(double seconds) throws IOException, InterruptedException {
        long busy = busyNanos();
        long begin = System.nanoTime();
        TimeUnit.NANOSECONDS.sleep((long) (seconds * 1e9));
        double share = (double) (busyNanos() - busy) / (System.nanoTime() - begin);
        return List.of(new Figure("guests-" + guests, "core_percent", 100 * share));
    }

    /// What the scheduler has given to all threads, in nanoseconds: the times in `stat` are whole
    /// hundredths of a second, of which an idle process takes none.
    private long busyNanos() throws IOException {
        long sum = 0;
        for (long process : processes) {
            try (Stream<Path> threads = Files.list(Path.of("/proc/" + process + "/task"))) {
                for (Path thread : threads.toList()) {
                    sum += busyNanos(thread.resolve("schedstat"));
                }
            }
        }
        return sum;
    }

    private static long busyNanos(Path schedstat) throws IOException {
        try {
            String text = Files.readString(schedstat);
            return Long.parseLong(text.substring(0, text.indexOf(' ')));
        } catch (NoSuchFileException e) {
            return 0; // the thread has ended
        }
    }

    @Override
    public String toString() {
        return guests + " idle guests";
    }
}
