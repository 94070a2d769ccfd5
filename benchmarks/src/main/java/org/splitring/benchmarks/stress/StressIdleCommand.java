package org.splitring.benchmarks.stress;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `stress idle`: what guests cost that do nothing.
@Command(
        name = "idle",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Holds guests with a disk and an interface each that do nothing, and measures what they"
                    + " cost.",
            "After each run every guest is asked for a read, and sends a frame to the next one."
        },
        footer = {
            "",
            "Exit status: 0 done, 1 a guest did not answer or something failed, 2 wrong usage.",
            "1,000 guests take 6 GiB of memory.",
            "",
            "For example: ./splitring stress idle --guests 1000 --seconds 10"
        })
public final class StressIdleCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Mixin private final StressOptions options = new StressOptions();
    @Mixin private final LoopOption loops = new LoopOption();

    @Option(
            names = "--guests",
            paramLabel = "N",
            defaultValue = "1000",
            description = "Guests, 1 to 1000 (default: ${DEFAULT-VALUE}).")
    private int guests;

    /// For picocli.
    public StressIdleCommand() {}

    @Override
    public Integer call() throws InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        loops.check(command);
        StressOptions.range(command, "--guests", guests, 1, 1000);
        if (options.isPaced()) {
            throw new ParameterException(
                    command.commandLine(), "--rate: idle guests have none; leave it out");
        }
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("guests", Integer.toString(guests));
        loops.describe(settings);
        options.describe(settings);
        settings.remove("loop");
        return new StressRunner(command, options)
                .run(
                        "idle",
                        settings,
                        session -> {
                            try (IdleGuests idle = new IdleGuests(session, guests, loops.count())) {
                                idle.start(guests);
                                return idle.measure();
                            }
                        });
    }
}
