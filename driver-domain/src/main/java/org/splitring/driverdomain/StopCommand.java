package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring stop`: a guest ends, its domain and its disks stay.
@Command(
        name = "stop",
        description =
                "End a guest of a running lab in order: it closes its devices. start runs it again.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring stop web"})
final class StopCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Option(names = "--force", description = "Do not ask it: kill it.")
    private boolean force;

    @Override
    public Integer call() throws CommandException {
        lab.send(
                "POST",
                ControlClient.path("domains", domain, "stop"),
                Map.of("force", force),
                LabRequest.PATIENCE);
        return 0;
    }
}
