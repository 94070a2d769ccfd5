package org.splitring.benchmarks;

import picocli.CommandLine.Command;

/// `bench`: the program's subcommand for measurements.
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        description = "Measures parts of Splitring beside their peers.",
        subcommands = {
            BenchRingCommand.class,
            BenchStoreCommand.class,
            BenchSwitchCommand.class,
            BenchNetCommand.class,
            BenchBlockCommand.class,
            BenchGrantsCommand.class
        },
        synopsisSubcommandLabel = "COMMAND")
public final class BenchCommand {
    /// For picocli.
    public BenchCommand() {}
}
