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
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.Affinity;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `bench ring`: our ring pair beside the C program with Xen's macros, Agrona's ring pair and
/// JCTools' queue pair, in rounds. How to read it: `docs/bench-ring.md`.
@Command(
        name = "ring",
        mixinStandardHelpOptions = true,
        description = "Measures request/response pairs over a ring, beside C, Agrona and JCTools.",
        footer = {
            "",
            "Every contender does the same work per request, and runs once in each round in",
            "a process of its own. Needs two free processors to mean anything."
        })
public final class BenchRingCommand implements Callable<Integer> {
    private static final List<String> BATCHES = List.of("batch-1", "batch-8", "batch-32");

    @Spec private @Nullable CommandSpec spec;

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
            description = "One short round, one batch size: shows that everything runs, no more.")
    private boolean quick;

    @Option(names = "--no-pin", description = "Leaves the two ends where the kernel puts them.")
    private boolean noPin;

    @Option(
            names = "--subjects",
            split = ",",
            paramLabel = "NAME",
            description = "Only these: splitring, c, agrona, jctools.")
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

    /// For picocli.
    public BenchRingCommand() {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        if (rounds < 1 || rounds > 1000) {
            throw new ParameterException(
                    command.commandLine(), "--rounds must be 1 to 1000, not " + rounds);
        }
        if (!(seconds >= 0.02 && seconds <= 600)) {
            throw new ParameterException(
                    command.commandLine(), "--seconds must be 0.02 to 600, not " + seconds);
        }
        if (quick) {
            rounds = 1;
            seconds = Math.min(seconds, 0.05);
        }
        requireFolder("--json", json == null || json.equals("-") ? null : Path.of(json), command);
        requireFolder("--html", html, command);
        PrintWriter err = command.commandLine().getErr();
        PrintWriter out = "-".equals(json) ? err : command.commandLine().getOut();
        Machine machine = Machine.now();
        out.println(machine);
        Path folder = Files.createTempDirectory("splitring-bench");
        List<BenchRow> rows;
        try {
            rows = measure(contenders(folder, err), err);
        } finally {
            for (String name : List.of("ringbench", "ringbench.c")) {
                Files.deleteIfExists(folder.resolve(name));
            }
            Files.delete(folder);
        }
        BenchReport report = new BenchReport("Rings", machine, rows);
        out.print(report.table());
        out.flush();
        if (json != null) {
            if (json.equals("-")) {
                command.commandLine().getOut().print(BenchRow.toJson(rows));
                command.commandLine().getOut().flush();
            } else {
                Files.writeString(Path.of(json), BenchRow.toJson(rows));
            }
        }
        if (html != null) {
            Files.writeString(html, report.html());
        }
        return 0;
    }

    /// Refuses a file that could not be written, before minutes are spent on what goes into it.
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

    private List<RingContender> contenders(Path folder, PrintWriter err)
            throws IOException, InterruptedException {
        List<String> known = List.of("splitring", "c", "agrona", "jctools");
        List<String> wanted = subjects == null ? known : subjects;
        for (String subject : wanted) {
            if (!known.contains(subject)) {
                throw new ParameterException(
                        Objects.requireNonNull(spec).commandLine(),
                        "--subjects: no such subject: " + subject + " (there are " + known + ")");
            }
        }
        List<String> c = List.of();
        if (wanted.contains("c")) {
            Optional<String> missing = CProgram.whatIsMissing();
            if (missing.isPresent()) {
                err.println("note: the C program is left out: " + missing.get());
            } else {
                c = List.of(CProgram.compile(folder).toString());
            }
        }
        List<RingContender> contenders = new ArrayList<>();
        for (String placement : List.of("threads", "processes")) {
            for (int entrySizeBytes : List.of(BlkifWork.ENTRY_SIZE, NetifTxWork.ENTRY_SIZE)) {
                for (String subject : wanted) {
                    List<String> program = subject.equals("c") ? c : RingWorker.command(subject);
                    boolean possible =
                            !program.isEmpty()
                                    // A queue of references lives in one heap.
                                    && !(subject.equals("jctools")
                                            && placement.equals("processes"));
                    if (possible) {
                        // A process for each test: what the JIT learns from batches of one makes
                        // it take longer batches for rare.
                        for (String test : tests(subject, entrySizeBytes)) {
                            contenders.add(
                                    new RingContender(
                                            subject,
                                            placement,
                                            entrySizeBytes,
                                            program,
                                            List.of(test)));
                        }
                    }
                }
            }
        }
        return contenders;
    }

    /// Round trips are measured with blkif's entries; only rings have event indices to sleep with.
    private List<String> tests(String subject, int entrySizeBytes) {
        List<String> tests = new ArrayList<>(quick ? List.of("batch-32") : BATCHES);
        if (entrySizeBytes == BlkifWork.ENTRY_SIZE) {
            tests.add("spinning");
            if (subject.equals("splitring") || subject.equals("c")) {
                tests.add("blocking");
            }
        }
        return tests;
    }

    /// The two processors to stay on, or none.
    private List<Integer> processors() throws IOException {
        List<Integer> allowed = Affinity.processors();
        return !noPin && allowed.size() >= 2 ? allowed.subList(0, 2) : List.of();
    }

    /// Runs every contender once in each round, each round beginning with another one.
    private List<BenchRow> measure(List<RingContender> contenders, PrintWriter err)
            throws IOException, InterruptedException {
        List<Integer> processors = processors();
        record Key(String subject, String variant, String metric) {}
        Map<Key, List<Double>> values = new LinkedHashMap<>();
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < contenders.size(); i++) {
                RingContender contender = contenders.get((i + round) % contenders.size());
                err.printf("round %d of %d: %s%n", round + 1, rounds, contender);
                err.flush();
                for (RingContender.Figure figure : contender.run(seconds, processors)) {
                    Key key =
                            new Key(
                                    contender.subject(),
                                    contender.variant(figure.test()),
                                    figure.metric());
                    values.computeIfAbsent(key, k -> new ArrayList<>()).add(figure.value());
                }
            }
        }
        return values.entrySet().stream()
                .map(
                        e ->
                                BenchRow.of(
                                        "ring",
                                        e.getKey().subject(),
                                        e.getKey().variant(),
                                        e.getKey().metric(),
                                        e.getValue()))
                .toList();
    }
}
