package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring create`: one more guest for a running lab, from a file that xl would take.
@Command(
        name = "create",
        description = {
            "Make and start a guest in a running lab, from a configuration file as xl has it.",
            "name, memory, disk, vif and p9 mean what they mean to xl; a vif's bridge is a network",
            "of the lab. Other keys are named and have no effect. It lives until 'destroy' or 'down'."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring create examples/guest.cfg"})
final class CreateCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(paramLabel = "GUEST.cfg", description = "The configuration file.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path config;

    @Override
    public Integer call() throws CommandException {
        String path = config.toAbsolutePath().normalize().toString();
        lab.send(
                "POST", ControlClient.path("domains"), Map.of("config", path), LabRequest.PATIENCE);
        return 0;
    }
}
