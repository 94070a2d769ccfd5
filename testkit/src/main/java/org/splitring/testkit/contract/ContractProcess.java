package org.splitring.testkit.contract;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/// One half of a device in a JVM of its own, to be killed. It says on its standard output how much
/// has been done: `progress N`; and ends by itself when its standard input does, so that it does
/// not outlive the test.
final class ContractProcess implements AutoCloseable {
    private static final int KEPT_LINES = 200;

    private final String name;
    private final Process process;
    private final Thread reader;
    private final List<String> lines = new ArrayList<>(); // guarded by this
    private long progress; // guarded by this

    private ContractProcess(String name, Process process) {
        this.name = name;
        this.process = process;
        reader = Thread.ofPlatform().daemon().name("contract-reader").start(this::read);
    }

    /// Starts a JVM as this one, with the same class path.
    static ContractProcess start(Class<?> main, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(
                List.of(
                        "--enable-native-access=ALL-UNNAMED",
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "-Xmx128m",
                        "-cp",
                        System.getProperty("java.class.path"),
                        main.getName()));
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        return new ContractProcess(main.getSimpleName(), process);
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
        if (line.startsWith("progress ")) {
            progress = Long.parseLong(line.substring("progress ".length()));
        } else if (lines.size() < KEPT_LINES) {
            lines.add(line);
        }
    }

    private synchronized long progress() {
        return progress;
    }

    private synchronized boolean said(String line) {
        return lines.contains(line);
    }

    private synchronized String output() {
        return String.join("\n", lines);
    }

    void awaitLine(String line) {
        await("says " + line, () -> said(line));
    }

    /// Waits until `pieces` more pieces of work have been done in it.
    void awaitProgress(long pieces) {
        long wanted = progress() + pieces;
        await("does " + pieces + " more pieces of work", () -> progress() >= wanted);
    }

    private void await(String what, Callable<Boolean> condition) {
        Bounded.until(
                Bounded.PROCESS_PATIENCE,
                () -> name + " " + what + "; it said:\n" + output(),
                () -> condition.call() || !process.isAlive());
        if (!process.isAlive()) {
            throw new AssertionError(name + " ended before it " + what + ":\n" + output());
        }
    }

    /// kill -9, and nothing of it is there any more when this returns.
    void kill() {
        process.destroyForcibly().onExit().join();
        try {
            reader.join();
            process.getOutputStream().close();
            process.getErrorStream().close();
        } catch (IOException e) {
            throw new AssertionError(name + ": closing its streams", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        kill();
    }

    /// In such a process: waits for the end of its test, and ends.
    static void untilTheTestEnds() {
        try {
            while (System.in.read() >= 0) {
                // Nothing is said to it.
            }
        } catch (IOException e) {
            // The same.
        }
        Runtime.getRuntime().halt(0);
    }
}
