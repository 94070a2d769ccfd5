package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring network-detach`: `detach` of a network interface, as xl has it.
@Command(
        name = "network-detach",
        description = "Detach a network interface: the same as detach DOMAIN vif/ID.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring network-detach web 0"})
final class NetworkDetachCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "VIF",
            description = "Number or MAC address of the interface.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String vif;

    @Option(names = "--force", description = DetachCommand.FORCE)
    private boolean force;

    @Override
    public Integer call() throws CommandException {
        command.detach("vif/" + vif, force);
        return 0;
    }
}
