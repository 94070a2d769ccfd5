package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.Affinity;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
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

    @Mixin private final BenchOptions options = new BenchOptions();

    @Option(names = "--no-pin", description = "Leaves the two ends where the kernel puts them.")
    private boolean noPin;

    /// For picocli.
    public BenchRingCommand() {}

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
            List<RingContender> contenders = contenders(folder, err, command);
            List<Integer> processors = processors();
            rows =
                    options.measure(
                            "ring",
                            contenders,
                            contender -> contender.run(options.seconds(), processors),
                            err);
        } finally {
            for (String name : List.of("ringbench", "ringbench.c")) {
                Files.deleteIfExists(folder.resolve(name));
            }
            Files.delete(folder);
        }
        options.report("Rings", machine, rows, command);
        return 0;
    }

    private List<RingContender> contenders(Path folder, PrintWriter err, CommandSpec command)
            throws IOException, InterruptedException {
        List<String> wanted =
                options.subjects(List.of("splitring", "c", "agrona", "jctools"), command);
        List<String> c = List.of();
        if (wanted.contains("c")) {
            Optional<String> missing = CProgram.whatIsMissing();
            if (missing.isPresent()) {
                err.println("note: the C program is left out: " + missing.get());
            } else {
                c = List.of(CProgram.compile(folder, "ringbench").toString());
            }
        }
        List<RingContender> contenders = new ArrayList<>();
        for (String placement : List.of("threads", "processes")) {
            for (int entrySizeBytes : List.of(BlkifWork.ENTRY_SIZE, NetifTxWork.ENTRY_SIZE)) {
                // The subjects of a test one after the other, so that they meet the same machine.
                for (String test : tests(entrySizeBytes)) {
                    for (String subject : wanted) {
                        List<String> program =
                                subject.equals("c") ? c : RingWorker.command(subject);
                        if (!program.isEmpty() && isPossible(subject, placement, test)) {
                            // A process for each: what the JIT learns from batches of one makes
                            // it take longer batches for rare.
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

    /// Only rings have event indices to sleep with, and a queue of references lives in one heap.
    private static boolean isPossible(String subject, String placement, String test) {
        return switch (subject) {
            case "agrona" -> !test.equals("blocking");
            case "jctools" -> !test.equals("blocking") && placement.equals("threads");
            default -> true;
        };
    }

    /// Round trips are measured with blkif's entries.
    private List<String> tests(int entrySizeBytes) {
        List<String> tests = new ArrayList<>(options.quick() ? List.of("batch-32") : BATCHES);
        if (entrySizeBytes == BlkifWork.ENTRY_SIZE) {
            tests.addAll(List.of("spinning", "blocking"));
        }
        return tests;
    }

    /// The two processors to stay on, or none.
    private List<Integer> processors() throws IOException {
        List<Integer> allowed = Affinity.processors();
        return !noPin && allowed.size() >= 2 ? allowed.subList(0, 2) : List.of();
    }
}
