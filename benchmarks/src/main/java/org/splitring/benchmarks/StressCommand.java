package org.splitring.benchmarks;

import org.splitring.benchmarks.stress.StressBlockCommand;
import org.splitring.benchmarks.stress.StressCompareCommand;
import org.splitring.benchmarks.stress.StressIdleCommand;
import org.splitring.benchmarks.stress.StressNetCommand;
import org.splitring.benchmarks.stress.StressRingCommand;
import org.splitring.benchmarks.stress.StressScaleCommand;
import picocli.CommandLine.Command;

/// `stress`: the program's subcommand for load that is checked.
@Command(
        name = "stress",
        mixinStandardHelpOptions = true,
        description =
                "Loads rings, disks and networks for a time, checks what comes back, and reports"
                        + " rates, latencies and the use of each core.",
        subcommands = {
            StressRingCommand.class,
            StressBlockCommand.class,
            StressNetCommand.class,
            StressScaleCommand.class,
            StressIdleCommand.class,
            StressPaperCommand.class,
            StressCompareCommand.class
        },
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "For example: ./splitring stress block --guests 4 --rate 20k --html block.html",
            "How to read the reports: docs/stress.md"
        })
public final class StressCommand {
    /// For picocli.
    public StressCommand() {}
}
