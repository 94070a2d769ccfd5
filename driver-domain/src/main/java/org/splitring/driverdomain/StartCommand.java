package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring start`: a guest of the lab that does not run, runs again.
@Command(
        name = "start",
        description = "Start a guest of a running lab that has ended, or was stopped.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring start web"})
final class StartCommand implements Callable<Integer> {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException {
        new ControlClient(runDirectory.path())
                .print(
                        "POST",
                        ControlClient.path("domains", domain, "start"),
                        Map.of(),
                        PATIENCE,
                        spec.commandLine().getOut());
        return 0;
    }
}
