package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring block-detach`: `detach` of a disk, as xl has it.
@Command(
        name = "block-detach",
        description = "Detach a disk from a running guest: the same as detach DOMAIN vbd/DISK.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring block-detach web xvdb"})
final class BlockDetachCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Name or number of the disk: xvdb, 51728.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String disk;

    @Option(names = "--force", description = DetachCommand.FORCE)
    private boolean force;

    @Override
    public Integer call() throws CommandException {
        command.detach("vbd/" + disk, force);
        return 0;
    }
}
