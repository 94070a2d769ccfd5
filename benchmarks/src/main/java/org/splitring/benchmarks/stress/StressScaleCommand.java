package org.splitring.benchmarks.stress;

import java.util.ArrayList;
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

/// `stress scale`: the load of `stress block` with more and more guests; `stress scale net`:
/// that of `stress net`.
@Command(
        name = "scale",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Runs the load of 'stress block' with 1, 2, 4... 128 guests, one after the other.",
            "'stress scale net' does it with that of 'stress net'."
        },
        subcommands = StressScaleNetCommand.class,
        footer = {
            "",
            "Exit status: 0 done, 1 a block was wrong or something failed, 2 wrong usage.",
            "",
            "For example: ./splitring stress scale --guests 1,8,64 --depth 4 --html scale.html"
        })
public final class StressScaleCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();
    @Mixin private final LoopOption loops = new LoopOption();
    @Mixin private final BlockOptions block = new BlockOptions();

    @Option(
            names = "--guests",
            paramLabel = "N,...",
            split = ",",
            defaultValue = "1,2,4,8,16,32,64,128",
            description = "Numbers of guests, ascending (default: ${DEFAULT-VALUE}).")
    private List<Integer> guests = List.of();

    /// For picocli.
    public StressScaleCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        loops.check(command);
        block.check(command);
        GuestCounts.check(command, guests, 1);
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("guests", GuestCounts.text(guests));
        block.describe(settings);
        loops.describe(settings);
        options.describe(settings);
        return new StressRunner(command, options)
                .run(
                        "scale block",
                        settings,
                        session -> {
                            List<StressPoint> points = new ArrayList<>();
                            try (StressImages images =
                                            new StressImages(
                                                    block.images(),
                                                    guests.getLast() * block.disks());
                                    BlockGuests all =
                                            new BlockGuests(
                                                    block, session, loops.count(), images)) {
                                for (int count : guests) {
                                    all.growTo(count);
                                    all.measure().ifPresent(points::add);
                                }
                            }
                            return points;
                        });
    }
}
