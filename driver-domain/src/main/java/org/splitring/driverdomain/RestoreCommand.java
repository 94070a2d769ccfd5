package org.splitring.driverdomain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring restore`: a guest again that was saved.
@Command(
        name = "restore",
        description = {
            "Make and start a guest in a running lab, as 'save' has written it. Its networks have to",
            "be there. A guest of the same name that is stopped gives place to it. It has the domid",
            "it had, unless another one has that now."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring restore web.saved"})
final class RestoreCommand implements Callable<Integer> {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(paramLabel = "FILE", description = "What 'save' wrote; it is only read.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path file;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException {
        new ControlClient(runDirectory.path())
                .print(
                        "POST",
                        ControlClient.path("domains"),
                        Map.of("saved", file.toAbsolutePath().normalize().toString()),
                        PATIENCE,
                        spec.commandLine().getOut());
        return 0;
    }
}
