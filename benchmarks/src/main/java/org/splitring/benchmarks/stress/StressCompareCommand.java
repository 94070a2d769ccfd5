package org.splitring.benchmarks.stress;

import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `stress compare`: two reports side by side.
@Command(
        name = "compare",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Says what differs between two reports (--json of a run) beyond the spread of their runs:",
            "no run of one lies among those of the other, and the medians are further apart than the"
                    + " runs of either."
        },
        footer = {
            "",
            "Exit status: 0 compared, 1 a file is no report, 2 wrong usage, 3 with --fail-on-worse"
                    + " when B is worse.",
            "",
            "For example: ./splitring stress compare --fail-on-worse before.json after.json"
        })
public final class StressCompareCommand implements Callable<Integer> {
    /// B is worse, and that was asked for.
    static final int WORSE = 3;

    @Spec private @Nullable CommandSpec spec;

    @Option(
            names = "--fail-on-worse",
            description = "Exit status 3 when a metric of B is worse beyond the spread.")
    private boolean failOnWorse;

    @Parameters(index = "0", paramLabel = "A", description = "The report to compare with.")
    private Path a = Path.of("a.json");

    @Parameters(index = "1", paramLabel = "B", description = "The report that is judged.")
    private Path b = Path.of("b.json");

    /// For picocli.
    public StressCompareCommand() {}

    @Override
    public Integer call() {
        CommandSpec command = Objects.requireNonNull(spec);
        try {
            Comparison comparison = Comparison.of(StressResult.read(a), StressResult.read(b));
            command.commandLine().getOut().print(comparison.text());
            command.commandLine().getOut().flush();
            return failOnWorse && comparison.isWorse() ? WORSE : ExitCode.OK;
        } catch (StressException e) {
            command.commandLine().getErr().println("splitring: " + e.getMessage());
            return ExitCode.SOFTWARE;
        }
    }
}
