package org.splitring.benchmarks.stress;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `stress block`: requests of guests to their disks, through rings, backends and images.
@Command(
        name = "block",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Loads disks of guests: blkfront, ring, blkback, image. What is read is checked.",
            "Guests are domains of this process, with event loops for guests and for backends."
        },
        footer = {
            "",
            "Exit status: 0 done, 1 a block was wrong or something failed, 2 wrong usage.",
            "",
            "For example, 20,000 requests a second of 8 guests with 4 KiB each, for 10 seconds:",
            "  ./splitring stress block --guests 8 --rate 20k --seconds 10 --html a.html"
        })
public final class StressBlockCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();
    @Mixin private final LoopOption loops = new LoopOption();
    @Mixin private final BlockOptions block = new BlockOptions();

    @Option(
            names = "--guests",
            paramLabel = "N",
            defaultValue = "1",
            description = "Guests, 1 to 1000 (default: ${DEFAULT-VALUE}).")
    private int guests;

    /// For picocli.
    public StressBlockCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        loops.check(command);
        block.check(command);
        StressOptions.range(command, "--guests", guests, 1, 1000);
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("guests", Integer.toString(guests));
        block.describe(settings);
        loops.describe(settings);
        options.describe(settings);
        return new StressRunner(command, options)
                .run(
                        "block",
                        settings,
                        session -> {
                            try (StressImages images =
                                            new StressImages(
                                                    block.images(), guests * block.disks());
                                    BlockGuests all =
                                            new BlockGuests(
                                                    block, session, loops.count(), images)) {
                                all.growTo(guests);
                                return all.measure().map(List::of).orElse(List.of());
                            }
                        });
    }
}
