package org.splitring.benchmarks.stress;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.RingPair;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `stress ring`: requests and answers over pairs of rings, without drivers.
@Command(
        name = "ring",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Loads pairs of rings: a requesting end, and an answering end in another thread or"
                    + " process.",
            "Every field of every request and every answer is checked."
        },
        footer = {
            "",
            "Exit status: 0 done, 1 an answer was wrong or something failed, 2 wrong usage.",
            "",
            "For example, 10,000 requests a second between two processes that sleep in between:",
            "  ./splitring stress ring --placement processes --rate 10k --html ring.html"
        })
public final class StressRingCommand implements Callable<Integer> {
    /// Where the answering end is.
    enum Placement {
        THREADS,
        PROCESSES
    }

    /// What an end does that waits.
    enum Waiting {
        SLEEP,
        SPIN
    }

    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();

    @Option(
            names = "--entry",
            paramLabel = "BYTES",
            defaultValue = "112",
            description =
                    "Size of an entry: 112 (blkif) or 12 (netif tx) (default: ${DEFAULT-VALUE}).")
    private int entry;

    @Option(
            names = "--pairs",
            paramLabel = "N",
            defaultValue = "1",
            description = "Pairs of rings, 1 to 64 (default: ${DEFAULT-VALUE}).")
    private int pairs;

    @Option(
            names = "--placement",
            paramLabel = "WHERE",
            defaultValue = "threads",
            converter = Choices.PlacementName.class,
            description =
                    "Where the answering end is: threads or processes (default: ${DEFAULT-VALUE}).")
    private Placement placement = Placement.THREADS;

    @Option(
            names = "--waiting",
            paramLabel = "HOW",
            defaultValue = "sleep",
            converter = Choices.WaitingName.class,
            description = {
                "What an end does that waits: sleep, and be woken by an event, or spin (default:"
                        + " ${DEFAULT-VALUE}).",
                "Spinning needs a free processor for each end."
            })
    private Waiting waiting = Waiting.SLEEP;

    @Option(
            names = "--depth",
            paramLabel = "N",
            defaultValue = "0",
            description = "Requests under way at most (default: the ring's slots, 32 or 256).")
    private int depth;

    @Option(
            names = "--batch",
            paramLabel = "N",
            defaultValue = "8",
            description =
                    "Requests that are published at once, at most (default: ${DEFAULT-VALUE}).")
    private int batch;

    /// For picocli.
    public StressRingCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        if (entry != 112 && entry != 12) {
            throw new ParameterException(
                    command.commandLine(), "--entry must be 112 or 12, not " + entry);
        }
        StressOptions.range(command, "--pairs", pairs, 1, 64);
        StressOptions.range(command, "--depth", depth, 0, entry == 112 ? 32 : 256);
        StressOptions.range(command, "--batch", batch, 1, 256);
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("pairs", Integer.toString(pairs));
        settings.put("entry", entry + " B");
        settings.put("placement", Choices.word(placement));
        settings.put("waiting", Choices.word(waiting));
        settings.put("depth", depth == 0 ? "all slots" : Integer.toString(depth));
        settings.put("batch", Integer.toString(batch));
        options.describe(settings);
        return new StressRunner(command, options)
                .run(
                        "ring",
                        settings,
                        session -> {
                            try (RingLoad load =
                                    new RingLoad(
                                            pairs,
                                            entry,
                                            new RingLoad.Settings(
                                                    depth, batch, waiting == Waiting.SLEEP),
                                            options,
                                            () ->
                                                    placement == Placement.THREADS
                                                            ? RingPair.threads(entry)
                                                            : RingPair.processes(entry))) {
                                return session.measure(
                                                BlockGuests.count(pairs, "pair"), pairs, load)
                                        .map(List::of)
                                        .orElse(List.of());
                            }
                        });
    }
}
