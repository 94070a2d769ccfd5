package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring detach`: unplugs a device of a running guest.
@Command(
        name = "detach",
        description = {
            "Detach a device from a running guest: it finishes what it was asked, and closes."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring detach web vrng/0",
            "or: ./splitring detach web vbd/xvdb"
        })
final class DetachCommand implements Callable<Integer> {
    static final String FORCE =
            "Do not wait for the guest: what it still wanted is answered with errors.";

    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(index = "1", paramLabel = "CLASS/ID", description = "The device: vrng/0, vbd/xvdb.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String device;

    @Option(names = "--force", description = FORCE)
    private boolean force;

    @Override
    public Integer call() throws CommandException {
        command.detach(device, force);
        return 0;
    }
}
