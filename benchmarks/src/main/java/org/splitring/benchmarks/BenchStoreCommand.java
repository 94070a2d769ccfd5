package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `bench store`: our store beside Xen's xenstored, each a process of its own behind a Unix socket,
/// with the same client, in rounds. How to read it: `docs/bench-store.md`.
@Command(
        name = "store",
        mixinStandardHelpOptions = true,
        description = "Measures the store's operations over a Unix socket, beside C xenstored.",
        footer = {
            "",
            "Each store runs once in each round for each number of clients and of guests, with",
            "the same client. Needs two free processors to mean anything."
        })
public final class BenchStoreCommand implements Callable<Integer> {
    private static final int SEVERAL_CLIENTS = 4;
    private static final int FEW_GUESTS = 10;
    private static final int MANY_GUESTS = 1000;
    private static final int MANY_GUESTS_QUICKLY = 100;
    private static final String P50 = "p50_ns";

    @Spec private @Nullable CommandSpec spec;

    @Mixin private final BenchOptions options = new BenchOptions();

    /// For picocli.
    public BenchStoreCommand() {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        PrintWriter err = command.commandLine().getErr();
        Machine machine = Machine.now();
        options.out(command).println(machine);
        Path folder = Files.createTempDirectory("splitring-bench");
        List<BenchRow> rows;
        try {
            List<StoreContender> contenders = contenders(folder, err, command);
            rows = new ArrayList<>();
            rows.addAll(
                    options.measure(
                            "store",
                            contenders,
                            contender -> contender.run(options.seconds()),
                            err));
        } finally {
            for (String name : List.of("fakexen", "fakexen.c")) {
                Files.deleteIfExists(folder.resolve(name));
            }
            Files.delete(folder);
        }
        rows.addAll(ratios(rows));
        rows.addAll(ratiosToC(rows));
        rows.sort(
                Comparator.comparing((BenchRow row) -> row.metric().equals("ratio"))
                        .thenComparing(BenchRow::variant));
        options.report("Store", machine, rows, command);
        return 0;
    }

    private List<StoreContender> contenders(Path folder, PrintWriter err, CommandSpec command)
            throws IOException, InterruptedException {
        List<String> wanted = options.subjects(List.of("splitring", "c"), command);
        List<StoreOperation> tests = StoreOperation.repeatable();
        List<StoreOperation> withRelease = new ArrayList<>(tests);
        withRelease.add(StoreOperation.RELEASE);
        List<StoreContender> contenders = new ArrayList<>();
        for (String subject : wanted) {
            String library = "";
            if (subject.equals("c")) {
                Optional<String> missing = CStore.whatIsMissing();
                if (missing.isPresent()) {
                    err.println("note: C xenstored is left out: " + missing.get());
                    continue;
                }
                library = CProgram.compile(folder, "fakexen", "-shared", "-fPIC").toString();
            }
            for (int clients : options.quick() ? List.of(2) : List.of(1, SEVERAL_CLIENTS)) {
                contenders.add(new StoreContender(subject, library, clients, 0, tests));
            }
            for (int guests : List.of(FEW_GUESTS, manyGuests())) {
                contenders.add(new StoreContender(subject, library, 1, guests, withRelease));
            }
        }
        contenders.sort(
                Comparator.comparingInt(StoreContender::guests)
                        .thenComparingInt(StoreContender::clients)); // subjects side by side
        return contenders;
    }

    private int manyGuests() {
        return options.quick() ? MANY_GUESTS_QUICKLY : MANY_GUESTS;
    }

    /// How many times the operations of C xenstored ours does in a second. As with the guests, the
    /// ratio of a row is that of two medians, and the spread is that of either.
    private static List<BenchRow> ratiosToC(List<BenchRow> rows) {
        List<BenchRow> ratios = new ArrayList<>();
        for (BenchRow row : rows) {
            if (!row.subject().equals("splitring") || !row.isRate()) {
                continue;
            }
            rows.stream()
                    .filter(other -> other.subject().equals("c") && other.isRate())
                    .filter(other -> other.variant().equals(row.variant()))
                    .findFirst()
                    .ifPresent(c -> ratios.add(ratio("splitring:c", row.variant(), row, c)));
        }
        return ratios;
    }

    private static BenchRow ratio(String subject, String variant, BenchRow one, BenchRow by) {
        return new BenchRow(
                "store",
                subject,
                variant,
                "ratio",
                one.median() / by.median(),
                one.min() / by.max(),
                one.max() / by.min(),
                one.runs(),
                List.of());
    }

    /// How many times as much an operation costs beside many guests as beside few. The spread is
    /// that of either, so the ratio of a row is that of two medians.
    private List<BenchRow> ratios(List<BenchRow> rows) {
        String few = "guests-" + FEW_GUESTS + "/";
        String many = "guests-" + manyGuests() + "/";
        List<BenchRow> ratios = new ArrayList<>();
        for (BenchRow row : rows) {
            if (!row.metric().equals(P50) || !row.variant().startsWith(many)) {
                continue;
            }
            String test = row.variant().substring(many.length());
            String variant = "guests-" + manyGuests() + ":" + FEW_GUESTS + "/" + test;
            rows.stream()
                    .filter(other -> other.subject().equals(row.subject()))
                    .filter(other -> other.metric().equals(P50))
                    .filter(other -> other.variant().equals(few + test))
                    .findFirst()
                    .ifPresent(other -> ratios.add(ratio(row.subject(), variant, row, other)));
        }
        return ratios;
    }
}
