package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring destroy`: ends a guest of a running lab at once.
@Command(
        name = "destroy",
        description = {
            "End a guest of a running lab at once, as if its power were cut.",
            "What it had flushed is in its images. A guest that was made with 'create' is gone then;",
            "one of the lab file can be started again."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring destroy web"})
final class DestroyCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Override
    public Integer call() throws CommandException {
        lab.send("DELETE", ControlClient.path("domains", domain), Map.of(), LabRequest.PATIENCE);
        return 0;
    }
}
