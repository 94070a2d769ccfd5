package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// Time that processes had of processors.
public final class ProcessorTime {
    private ProcessorTime() {}

    /// What the scheduler has given to all threads, in nanoseconds: the times in `stat` are whole
    /// hundredths of a second, of which an idle process takes none.
    public static long nanos(List<Long> processes) throws IOException {
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
}
