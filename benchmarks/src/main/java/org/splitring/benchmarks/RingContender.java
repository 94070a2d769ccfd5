package org.splitring.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

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
        List<String> tests) {
    /// A figure as the program prints it.
    record Figure(String test, String metric, double value) {}

    RingContender {
        program = List.copyOf(program);
        tests = List.copyOf(tests);
    }

    String variant(String test) {
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
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
        if (processors.size() == 2) {
            builder.environment()
                    .put(RingWorker.CPUS, processors.getFirst() + " " + processors.getLast());
        }
        Process process = builder.start();
        long limitSeconds = 60 + (long) (10 * seconds * tests.size());
        Thread watchdog =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        if (!process.waitFor(limitSeconds, TimeUnit.SECONDS)) {
                                            process.destroyForcibly();
                                        }
                                    } catch (InterruptedException e) {
                                        // it has ended
                                    }
                                });
        List<Figure> figures = new ArrayList<>();
        try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                figures.add(figure(line));
            }
            int status = process.waitFor();
            if (status != 0) {
                throw new IOException(this + " ended with status " + status);
            }
        } finally {
            process.destroyForcibly();
            watchdog.interrupt();
        }
        return figures;
    }

    private Figure figure(String line) throws IOException {
        String[] words = line.split(" ", -1);
        if (words.length != 3 || !tests.contains(words[0])) {
            throw new IOException(this + " printed: " + line);
        }
        try {
            return new Figure(words[0], words[1], Double.parseDouble(words[2]));
        } catch (NumberFormatException e) {
            throw new IOException(this + " printed: " + line, e);
        }
    }

    @Override
    public String toString() {
        return subject + " " + placement + " " + entrySizeBytes + " " + String.join(" ", tests);
    }
}
