package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// What every `bench` takes, how its rounds go, and how it reports.
final class BenchOptions {
    /// Runs a contender once.
    @FunctionalInterface
    interface Run<C extends Contender> {
        List<Figure> once(C contender) throws IOException, InterruptedException;
    }

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "5",
            description = "How often each contender runs (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "0.5",
            description = "Measured time of one test in one round (default: ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(
            names = "--quick",
            description = "One short round, fewer tests: shows that everything runs, no more.")
    private boolean quick;

    @Option(
            names = "--subjects",
            split = ",",
            paramLabel = "NAME",
            description = "Only these, such as splitring,c.")
    private @Nullable List<String> subjects;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Writes the rows as a JSON array; - is standard output.")
    private @Nullable String json;

    @Option(
            names = "--html",
            paramLabel = "FILE",
            description = "Writes a page with charts and the table; it loads nothing else.")
    private @Nullable Path html;

    boolean quick() {
        return quick;
    }

    double seconds() {
        return quick ? Math.min(seconds, 0.05) : seconds;
    }

    /// Refuses what makes no sense, before minutes are spent on it.
    void check(CommandSpec command) {
        if (rounds < 1 || rounds > 1000) {
            throw new ParameterException(
                    command.commandLine(), "--rounds must be 1 to 1000, not " + rounds);
        }
        if (!(seconds >= 0.02 && seconds <= 600)) {
            throw new ParameterException(
                    command.commandLine(), "--seconds must be 0.02 to 600, not " + seconds);
        }
        requireFolder("--json", json == null || json.equals("-") ? null : Path.of(json), command);
        requireFolder("--html", html, command);
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

    /// Whom to measure.
    List<String> subjects(List<String> known, CommandSpec command) {
        List<String> wanted = subjects == null ? known : subjects;
        for (String subject : wanted) {
            if (!known.contains(subject)) {
                throw new ParameterException(
                        command.commandLine(),
                        "--subjects: no such subject: " + subject + " (there are " + known + ")");
            }
        }
        return wanted;
    }

    /// Where the table goes: standard output, unless the rows go there.
    PrintWriter out(CommandSpec command) {
        return "-".equals(json) ? command.commandLine().getErr() : command.commandLine().getOut();
    }

    /// Runs every contender once in each round, each round beginning with another one.
    <C extends Contender> List<BenchRow> measure(
            String bench, List<C> contenders, Run<C> run, PrintWriter err)
            throws IOException, InterruptedException {
        int times = quick ? 1 : rounds;
        record Key(String subject, String variant, String metric) {}
        Map<Key, List<Double>> values = new LinkedHashMap<>();
        CoreSpeed speed = new CoreSpeed();
        for (int round = 0; round < times; round++) {
            for (int i = 0; i < contenders.size(); i++) {
                C contender = contenders.get((i + round) % contenders.size());
                err.printf("round %d of %d: %s%n", round + 1, times, contender);
                err.flush();
                if (!quick) {
                    speed.sample();
                }
                for (Figure figure : run.once(contender)) {
                    Key key =
                            new Key(
                                    contender.subject(),
                                    contender.variant(figure.test()),
                                    figure.metric());
                    values.computeIfAbsent(key, k -> new ArrayList<>()).add(figure.value());
                }
            }
        }
        if (!quick) {
            err.println(speed);
        }
        return values.entrySet().stream()
                .map(
                        e ->
                                BenchRow.of(
                                        bench,
                                        e.getKey().subject(),
                                        e.getKey().variant(),
                                        e.getKey().metric(),
                                        e.getValue()))
                .toList();
    }

    /// Writes what was asked for.
    void report(String title, Machine machine, List<BenchRow> rows, CommandSpec command)
            throws IOException {
        BenchReport report = new BenchReport(title, machine, rows);
        write(report.table(), BenchRow.toJson(rows), report.html(""), command);
    }

    /// Prints the table, and writes the rest where it was asked for.
    void write(String table, String rows, String page, CommandSpec command) throws IOException {
        PrintWriter out = out(command);
        out.print(table);
        out.flush();
        if ("-".equals(json)) {
            command.commandLine().getOut().print(rows);
            command.commandLine().getOut().flush();
        } else if (json != null) {
            Files.writeString(Path.of(json), rows);
        }
        if (html != null) {
            Files.writeString(html, page);
        }
    }
}
