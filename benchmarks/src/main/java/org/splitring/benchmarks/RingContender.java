package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// One thing that `bench ring` measures, as a program to start: it takes the tests and prints a
/// line `TEST METRIC VALUE` for each figure.
///
/// @param subject `splitring`, `c`, `agrona`, `jctools`
/// @param placement `threads` or `processes`
/// @param program command line up to the placement
/// @param tests names of tests, in order
record RingContender(
        String subject,
        String placement,
        int entrySizeBytes,
        List<String> program,
        List<String> tests)
        implements Contender {
    RingContender {
        program = List.copyOf(program);
        tests = List.copyOf(tests);
    }

    @Override
    public String variant(String test) {
        return placement + "/" + entrySizeBytes + "/" + test;
    }

    /// Runs the program once. Ends it when it takes longer than any run could.
    ///
    /// @throws IOException when it fails, hangs, or prints something else than figures
    ///
    /// @param processors where the two ends stay; empty leaves that to the kernel
    List<Figure> run(double seconds, List<Integer> processors)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(program);
        command.add(placement);
        command.add(Integer.toString(entrySizeBytes));
        command.add(String.format(Locale.ROOT, "%.3f", seconds));
        command.addAll(tests);
        Map<String, String> environment =
                processors.size() == 2
                        ? Map.of(
                                RingWorker.CPUS, processors.getFirst() + " " + processors.getLast())
                        : Map.of();
        return new FigureProgram(toString(), command, environment, tests)
                .run(60 + (long) (10 * seconds * tests.size()));
    }

    @Override
    public String toString() {
        return subject + " " + placement + " " + entrySizeBytes + " " + String.join(" ", tests);
    }
}
