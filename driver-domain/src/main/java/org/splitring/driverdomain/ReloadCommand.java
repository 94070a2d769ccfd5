package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `splitring reload`: changes the networks of a running lab.
@Command(
        name = "reload",
        description = {
            "Read the lab file of a running lab again, and change its networks while traffic flows:",
            "modes, ports, settings, rules, and rate and vlan of vifs.",
            "Other changes to domains are named and wait for 'replace' or the next 'up'."
        },
        mixinStandardHelpOptions = true)
final class ReloadCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description = "How long to wait for the driver domain (default: ${DEFAULT-VALUE}).")
    private int seconds = 15;

    @Override
    public Integer call() throws CommandException {
        lab.send("POST", ControlClient.path("reload"), Map.of(), Duration.ofSeconds(seconds));
        return 0;
    }
}
