package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.awaitility.Awaitility;

/// A process that a test started, and what it has said so far.
final class ChildProcess implements AutoCloseable {
    private final String name;
    private final Process process;
    private final Thread reader;
    private final List<String> lines = new ArrayList<>();
    private long progress;
    private long lineCount;

    private ChildProcess(String name, Process process) {
        this.name = name;
        this.process = process;
        reader = Thread.ofPlatform().daemon().name("reader of " + name).start(this::read);
    }

    static ChildProcess start(String name, List<String> command) throws IOException {
        return new ChildProcess(
                name, new ProcessBuilder(command).redirectErrorStream(true).start());
    }

    /// A JVM as this one, with the same class path.
    static ChildProcess java(String name, Class<?> main, List<String> arguments)
            throws IOException {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + "/bin/java");
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-XX:TieredStopAtLevel=1");
        command.add("-Xmx128m");
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(arguments);
        return start(name, command);
    }

    private void read() {
        try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                note(line);
            }
        } catch (IOException e) {
            note("reading failed: " + e);
        }
    }

    private synchronized void note(String line) {
        lineCount++;
        if (line.startsWith("progress ")) {
            progress = Long.parseLong(line.substring(9));
        } else if (lines.size() < 1000) {
            lines.add(line);
        }
    }

    /// The number of the last `progress` line.
    synchronized long progress() {
        return progress;
    }

    /// How many lines it has written, of which [#output] keeps the first thousand.
    synchronized long lineCount() {
        return lineCount;
    }

    synchronized String output() {
        return String.join("\n", lines);
    }

    private synchronized boolean said(Predicate<String> line) {
        return lines.stream().anyMatch(line);
    }

    void awaitLine(String prefix) {
        awaitTrue("line " + prefix, () -> said(l -> l.startsWith(prefix)));
    }

    /// Waits until `progress` has moved on by `steps` from now.
    void awaitProgress(long steps) {
        long from = progress();
        awaitTrue("progress from " + from, () -> progress() >= from + steps);
    }

    private void awaitTrue(String what, java.util.concurrent.Callable<Boolean> condition) {
        Awaitility.await(name + ": " + what)
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(5))
                .until(() -> condition.call() || !process.isAlive());
        try {
            if (!process.isAlive()) {
                reader.join(2000);
            }
            assertTrue(condition.call(), () -> name + " ended before " + what + ":\n" + output());
        } catch (Exception e) {
            throw new AssertionError(name + ": " + what, e);
        }
    }

    boolean isAlive() {
        return process.isAlive();
    }

    long pid() {
        return process.pid();
    }

    /// Ends its standard input, which asks a guest to finish.
    void endInput() throws IOException {
        process.getOutputStream().close();
    }

    /// Waits for its end.
    ///
    /// @return exit status
    int await(Duration limit) throws InterruptedException {
        assertTrue(
                process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS),
                () -> name + " does not end:\n" + output());
        reader.join(2000);
        return process.exitValue();
    }

    /// kill -9.
    void kill() {
        process.destroyForcibly().onExit().join();
    }

    @Override
    public void close() {
        kill();
        try {
            process.getOutputStream().close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
