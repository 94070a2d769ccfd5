package org.splitring.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// A program that measures something and prints a line `TEST METRIC VALUE` for each figure.
///
/// @param name for messages
/// @param tests whose figures it may print
record FigureProgram(
        String name, List<String> command, Map<String, String> environment, List<String> tests) {
    FigureProgram {
        command = List.copyOf(command);
        environment = Map.copyOf(environment);
        tests = List.copyOf(tests);
    }

    /// Runs it once. Ends it when it takes longer than any run could.
    ///
    /// @throws IOException when it fails, hangs, or prints something else than figures
    List<Figure> run(long limitSeconds) throws IOException, InterruptedException {
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().putAll(environment);
        Process process = builder.start();
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
                throw new IOException(name + " ended with status " + status);
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
            throw new IOException(name + " printed: " + line);
        }
        try {
            return new Figure(words[0], words[1], Double.parseDouble(words[2]));
        } catch (IllegalArgumentException e) { // no number, or none that a figure can have
            throw new IOException(name + " printed: " + line, e);
        }
    }
}
