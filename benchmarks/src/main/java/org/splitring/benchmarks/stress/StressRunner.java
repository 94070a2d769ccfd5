package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.Machine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParseResult;

/// What is the same for all commands that measure: they end on Ctrl-C with a report of what there
/// is, say what went wrong in one line, and write what was asked for.
final class StressRunner {
    private final CommandSpec command;
    private final StressOptions options;

    /// Measures.
    @FunctionalInterface
    interface Body {
        /// Takes its time.
        ///
        /// @return one point or several; none when it was ended before there was one
        List<StressPoint> measure(StressSession session) throws IOException, InterruptedException;
    }

    StressRunner(CommandSpec command, StressOptions options) {
        this.command = command;
        this.options = options;
    }

    /// Measures and reports.
    ///
    /// @return the exit code
    int run(String test, Map<String, String> settings, Body body) throws InterruptedException {
        PrintWriter err = command.commandLine().getErr();
        ProgressView progress = new ProgressView(err, ProgressView.isTerminal());
        RunEnd end = new RunEnd();
        CountDownLatch finished = new CountDownLatch(1);
        Thread hook =
                new Thread(
                        () -> {
                            end.interrupt();
                            awaitEnd(finished);
                        },
                        "stress ends early");
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            Machine machine = Machine.now();
            String began =
                    OffsetDateTime.now(ZoneId.systemDefault())
                            .truncatedTo(ChronoUnit.SECONDS)
                            .toString();
            List<StressPoint> points = body.measure(new StressSession(options, end, progress));
            progress.clear();
            @Nullable String failure = end.failure().orElse(null);
            String outcome =
                    failure != null ? "failed" : end.isInterrupted() ? "interrupted" : "complete";
            StressResult result =
                    new StressResult(
                            StressResult.FORMAT,
                            test,
                            settings,
                            machine,
                            words(),
                            began,
                            outcome,
                            failure,
                            points);
            if (failure == null || !points.isEmpty()) {
                report(result);
            }
            if (failure != null) {
                err.println("splitring: " + failure);
                return ExitCode.SOFTWARE;
            }
            return ExitCode.OK;
        } catch (IOException e) {
            progress.clear();
            err.println("splitring: " + e.getMessage());
            return ExitCode.SOFTWARE;
        } finally {
            err.flush();
            finished.countDown();
            forget(hook);
        }
    }

    private static void awaitEnd(CountDownLatch finished) {
        try {
            finished.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // it is running already
        }
    }

    /// The command as it was typed.
    private List<String> words() {
        ParseResult typed = command.root().commandLine().getParseResult();
        return typed.originalArgs();
    }

    private void report(StressResult result) throws IOException {
        PrintWriter out = command.commandLine().getOut();
        @Nullable String json = options.json();
        boolean jsonToOut = "-".equals(json);
        PrintWriter table = jsonToOut ? command.commandLine().getErr() : out;
        table.print(new StressTable(result).text());
        table.flush();
        if (jsonToOut) {
            out.print(result.toJson());
            out.flush();
        } else if (json != null) {
            write(Path.of(json), result.toJson());
        }
        Path html = options.html();
        if (html != null) {
            write(html, new StressPage(result).html());
        }
    }

    private static void write(Path file, String text) throws StressException {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new StressException(file + ": cannot be written: " + e.getMessage(), e);
        }
    }
}
