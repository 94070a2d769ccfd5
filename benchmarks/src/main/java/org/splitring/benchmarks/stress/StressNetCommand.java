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

/// `stress net`: frames between guests, through rings, backends and the switch.
@Command(
        name = "net",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Sends frames between pairs of guests: netfront, netback, switch, netback, netfront.",
            "Each frame is numbered and checked. Latency is the way of a frame from guest to guest."
        },
        footer = {
            "",
            "Exit status: 0 done, 1 a frame was damaged, doubled or out of order, or something failed,"
                    + " 2 wrong usage.",
            "A switch may lose frames: that is counted, and no failure.",
            "",
            "For example, 50,000 frames a second from each of 4 guests to another one:",
            "  ./splitring stress net --pairs 4 --rate 200k --frame-size 64 --seconds 10 --html"
                    + " net.html"
        })
public final class StressNetCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();
    @Mixin private final LoopOption loops = new LoopOption();
    @Mixin private final NetOptions net = new NetOptions();

    @Option(
            names = "--pairs",
            paramLabel = "N",
            defaultValue = "1",
            description = "Pairs of guests, 1 to 500 (default: ${DEFAULT-VALUE}).")
    private int pairs;

    /// For picocli.
    public StressNetCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        loops.check(command);
        net.check(command);
        StressOptions.range(command, "--pairs", pairs, 1, 500);
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("pairs", Integer.toString(pairs));
        net.describe(settings);
        loops.describe(settings);
        options.describe(settings);
        return new StressRunner(command, options)
                .run(
                        "net",
                        settings,
                        session -> {
                            try (NetGuests guests = new NetGuests(net, session, loops.count())) {
                                guests.growTo(2 * pairs);
                                return guests.measure().map(List::of).orElse(List.of());
                            }
                        });
    }
}
