package org.splitring.benchmarks;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Connected guests of ours that do nothing, with the driver domain that serves them.
///
/// @param test its name, which says how many they are
/// @param processes all of them
record IdleContender(String test, List<Long> processes) implements Contender {
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
        long busy = ProcessorTime.nanos(processes);
        long begin = System.nanoTime();
        TimeUnit.NANOSECONDS.sleep((long) (seconds * 1e9));
        double share =
                (double) (ProcessorTime.nanos(processes) - busy) / (System.nanoTime() - begin);
        return List.of(new Figure(test, "core_percent", 100 * share));
    }

    @Override
    public String toString() {
        return "idle " + test;
    }
}
