package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring start`: a guest of the lab that does not run, runs again.
@Command(
        name = "start",
        description = "Start a guest of a running lab that has ended, or was stopped.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring start web"})
final class StartCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Override
    public Integer call() throws CommandException {
        lab.send(
                "POST",
                ControlClient.path("domains", domain, "start"),
                Map.of(),
                LabRequest.PATIENCE);
        return 0;
    }
}
