package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What a measurement needs around it, files and processes, that is gone when this is closed.
class Bed implements AutoCloseable {
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final int END_SECONDS = 5;
    private static final Pattern PROCESS = Pattern.compile("process (\\d+)");

    private final Path folder;
    private final Deque<Cleaning> cleanings = new ArrayDeque<>(); // guarded by this
    private boolean closed; // guarded by this

    @FunctionalInterface
    interface Cleaning {
        void run() throws IOException, InterruptedException;
    }

    Bed() throws IOException {
        folder = Files.createTempDirectory("splitring-bench");
        cleanings.push(() -> delete(folder));
    }

    /// Has something done at the end; called before that is needed.
    final synchronized void later(Cleaning cleaning) throws IOException {
        if (closed) {
            throw new IOException("the run has ended");
        }
        cleanings.push(cleaning);
    }

    /// Gone with everything else.
    final Path folder() {
        return folder;
    }

    /// Starts a lab of ours.
    ///
    /// @param program main class with the commands `up` and `down`
    /// @param place words before its command line, which say where it runs
    /// @return the processes that `up` names: driver domain and guests
    final List<Long> up(String program, String lab, String... place)
            throws IOException, InterruptedException {
        Path file = Files.writeString(folder.resolve("lab.toml"), lab);
        String runDir = folder.resolve("run").toString();
        List<String> down = new ArrayList<>(List.of(place));
        down.addAll(command(program, "down", "--run-dir", runDir));
        later(() -> ToolProgram.run(down, Map.of(), 120));
        List<String> up = new ArrayList<>(List.of(place));
        up.addAll(command(program, "up", file.toString(), "--run-dir", runDir, "--detach"));
        Matcher said = PROCESS.matcher(ToolProgram.run(up, Map.of(), 600));
        List<Long> processes = new ArrayList<>();
        while (said.find()) {
            processes.add(Long.parseLong(said.group(1)));
        }
        return processes;
    }

    static List<String> command(String program, String... arguments) {
        List<String> command =
                new ArrayList<>(
                        JavaProgram.command(
                                program,
                                "-XX:+UseSerialGC",
                                "-Dio.netty.leakDetection.level=disabled")); // as the launcher
        command.addAll(List.of(arguments));
        return command;
    }

    /// Starts a program that stays; what it prints is in `NAME.out` of the folder.
    final synchronized Process start(
            String name, List<String> command, Map<String, String> environment) throws IOException {
        if (closed) { // no end between the start and the note of it
            throw new IOException("the run has ended");
        }
        Process process = ToolProgram.start(command, environment, folder.resolve(name + ".out"));
        later(() -> end(process));
        return process;
    }

    static void end(Process process) throws InterruptedException {
        process.destroy();
        if (!process.waitFor(END_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }

    @FunctionalInterface
    interface Condition {
        boolean holds() throws IOException, InterruptedException;
    }

    static void await(Condition condition, String what) throws IOException, InterruptedException {
        long end = System.nanoTime() + PATIENCE_NANOS;
        while (!condition.holds()) {
            if (System.nanoTime() - end > 0) {
                throw new IOException(what + " did not come about");
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
    }

    /// Takes everything away, the last first. Any thread; the second time it does nothing.
    @Override
    public final synchronized void close() {
        closed = true;
        while (!cleanings.isEmpty()) {
            try {
                cleanings.pop().run();
            } catch (IOException e) {
                System.err.println("note: " + e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt(); // what is left still goes, as far as it can
            }
        }
    }

    /// A hook that closes beds is needed no longer.
    static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // it is running already
        }
    }

    static void delete(Path folder) throws IOException {
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }
}
