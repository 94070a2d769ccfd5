package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

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
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(paramLabel = "FILE", description = "What 'save' wrote; it is only read.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path file;

    @Override
    public Integer call() throws CommandException {
        lab.send(
                "POST",
                ControlClient.path("domains"),
                Map.of("saved", file.toAbsolutePath().normalize().toString()),
                LabRequest.PATIENCE);
        return 0;
    }
}
