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

/// `stress scale net`: the load of `stress net` with more and more guests.
@Command(
        name = "net",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Runs the load of 'stress net' with 2, 4... 128 guests, one after the other.",
        footer = {
            "",
            "Exit status: 0 done, 1 a frame was wrong or something failed, 2 wrong usage.",
            "",
            "For example: ./splitring stress scale net --guests 2,16,128 --frame-size 64"
        })
public final class StressScaleNetCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();
    @Mixin private final LoopOption loops = new LoopOption();
    @Mixin private final NetOptions net = new NetOptions();

    @Option(
            names = "--guests",
            paramLabel = "N,...",
            split = ",",
            defaultValue = "2,4,8,16,32,64,128",
            description = "Even numbers of guests, ascending (default: ${DEFAULT-VALUE}).")
    private List<Integer> guests = List.of();

    /// For picocli.
    public StressScaleNetCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        loops.check(command);
        net.check(command);
        GuestCounts.check(command, guests, 2);
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("guests", GuestCounts.text(guests));
        net.describe(settings);
        loops.describe(settings);
        options.describe(settings);
        return new StressRunner(command, options)
                .run(
                        "scale net",
                        settings,
                        session -> {
                            List<StressPoint> points = new ArrayList<>();
                            try (NetGuests all = new NetGuests(net, session, loops.count())) {
                                for (int count : guests) {
                                    all.growTo(count);
                                    all.measure().ifPresent(points::add);
                                }
                            }
                            return points;
                        });
    }
}
