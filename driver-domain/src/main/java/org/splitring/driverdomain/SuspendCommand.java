package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/// `splitring suspend`: the devices of a guest stand still.
@Command(
        name = "suspend",
        description = {
            "Let the devices of a guest stand still, until 'resume'. What is on its rings is answered",
            "first. Programs that use its disks wait, its network cable is out, and nothing is lost.",
            "Another driver domain may take over meanwhile."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring suspend web"})
final class SuspendCommand implements Callable<Integer> {
    @Mixin private DeviceRequests devices = new DeviceRequests();

    @Override
    public Integer call() throws CommandException {
        devices.suspend();
        return 0;
    }
}
