package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

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
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException {
        new ControlClient(runDirectory.path())
                .print(
                        "DELETE",
                        ControlClient.path("domains", domain),
                        Map.of(),
                        PATIENCE,
                        spec.commandLine().getOut());
        return 0;
    }
}
