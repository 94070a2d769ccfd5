package org.splitring.benchmarks.stress;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.stress.Arrivals.Pacing;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// What every load takes: time, repetitions, pacing, where the report goes.
final class StressOptions implements Pace {
    private static final int MOST_SECONDS = 7 * 24 * 3600;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "5",
            description = "Measured time of each run (default: ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(
            names = "--warm-up",
            paramLabel = "S",
            defaultValue = "2",
            description =
                    "Load before each run that is not measured (default: ${DEFAULT-VALUE}); a JVM"
                            + " compiles what runs often.")
    private double warmUpSeconds;

    @Option(
            names = "--runs",
            paramLabel = "N",
            defaultValue = "3",
            description =
                    "Repetitions (default: ${DEFAULT-VALUE}): their spread says what a difference"
                            + " means.")
    private int runs;

    @Option(
            names = "--interval",
            paramLabel = "S",
            defaultValue = "0",
            description = "Length of the parts in the report (default: a 20th of a run, 0.1 to 1).")
    private double intervalSeconds;

    @Option(
            names = "--rate",
            paramLabel = "R",
            converter = Amounts.Rate.class,
            description = {
                "Requests a second of all guests together, such as 500 or 20k, at times that are"
                        + " fixed before (open loop): latency counts from those, whoever was late.",
                "Without it the next request is sent when one is answered (closed loop)."
            })
    private @Nullable Double rate;

    @Option(
            names = "--arrivals",
            paramLabel = "HOW",
            converter = Choices.PacingName.class,
            description =
                    "With --rate: even, or poisson, as from many independent sources (default:"
                            + " even).")
    private @Nullable Pacing arrivals;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description =
                    "Writes everything as JSON, for compare and others; - is standard output.")
    private @Nullable String json;

    @Option(
            names = "--html",
            paramLabel = "FILE",
            description = "Writes a page with charts and tables; it loads nothing else.")
    private @Nullable Path html;

    double seconds() {
        return seconds;
    }

    double warmUpSeconds() {
        return warmUpSeconds;
    }

    int runs() {
        return runs;
    }

    double intervalSeconds() {
        return intervalSeconds == 0 ? Math.clamp(seconds / 20, 0.1, 1) : intervalSeconds;
    }

    @Override
    public boolean isPaced() {
        return rate != null;
    }

    @Nullable String json() {
        return json;
    }

    @Nullable Path html() {
        return html;
    }

    @Override
    public @Nullable Arrivals arrivals(int stream, int streams) {
        Double all = rate;
        return all == null
                ? null
                : new Arrivals(
                        all / streams,
                        Objects.requireNonNullElse(arrivals, Pacing.EVEN),
                        (double) stream / streams,
                        stream);
    }

    /// Refuses what makes no sense, before time is spent on it.
    void check(CommandSpec command) {
        range(command, "--seconds", seconds, 0.1, MOST_SECONDS);
        range(command, "--warm-up", warmUpSeconds, 0, MOST_SECONDS);
        range(command, "--runs", runs, 1, 1000);
        if (intervalSeconds != 0) {
            range(command, "--interval", intervalSeconds, 0.05, MOST_SECONDS);
        }
        if (rate != null) {
            range(command, "--rate", rate, 0.1, 1e9);
        } else if (arrivals != null) {
            throw new ParameterException(
                    command.commandLine(),
                    "--arrivals is about times that --rate fixes: add --rate");
        }
        requireFolder("--json", json == null || json.equals("-") ? null : Path.of(json), command);
        requireFolder("--html", html, command);
    }

    /// @throws ParameterException when a value is out of its range: one line that says so
    static void range(CommandSpec command, String option, double value, double low, double high) {
        if (!(value >= low && value <= high)) {
            throw new ParameterException(
                    command.commandLine(),
                    option
                            + " must be "
                            + text(low)
                            + " to "
                            + text(high)
                            + ", not "
                            + text(value));
        }
    }

    private static String text(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15
                ? Long.toString((long) value)
                : Double.toString(value);
    }

    private static void requireFolder(String option, @Nullable Path file, CommandSpec command) {
        if (file == null) {
            return;
        }
        Path folder = Objects.requireNonNull(file.toAbsolutePath().getParent());
        if (!Files.isDirectory(folder) || Files.isDirectory(file)) {
            throw new ParameterException(
                    command.commandLine(), option + ": cannot write a file there: " + file);
        }
    }

    /// Adds what was chosen here, as the report shows it.
    void describe(Map<String, String> settings) {
        Double asked = rate;
        settings.put("loop", asked == null ? "closed" : "open");
        if (asked != null) {
            settings.put("rate", text(asked));
            settings.put(
                    "arrivals",
                    Objects.requireNonNullElse(arrivals, Pacing.EVEN) == Pacing.EVEN
                            ? "even"
                            : "poisson");
        }
        settings.put("seconds", text(seconds));
        settings.put("warm-up", text(warmUpSeconds));
        settings.put("runs", Integer.toString(runs));
    }
}
