package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/// `splitring resume`: the devices of a suspended guest go on.
@Command(
        name = "resume",
        description = {
            "Let a guest that was suspended go on. Its devices connect anew, and what waited is sent."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring resume web"})
final class ResumeCommand implements Callable<Integer> {
    @Mixin private DeviceRequests devices = new DeviceRequests();

    @Override
    public Integer call() throws CommandException {
        devices.resume();
        return 0;
    }
}
