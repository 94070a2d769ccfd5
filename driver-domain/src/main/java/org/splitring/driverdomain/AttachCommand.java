package org.splitring.driverdomain;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring attach`: plugs a device into a running guest.
@Command(
        name = "attach",
        description = {
            "Attach a device to a running guest, and return when both ends are connected.",
            "A device that does not connect is taken away again, and the step that failed is named."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example:",
            "  ./splitring attach web 9pfs,tag=share,path=./dir",
            "  ./splitring attach web vbd 'format=raw, vdev=xvdb, access=rw, target=data.img'",
            "  ./splitring attach web vif 'bridge=lan, ip=10.20.0.9'"
        })
final class AttachCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "CLASS[,KEY=VALUE...]",
            description = {
                "The device, in one word or several; a value that begins with ./ is a path.",
                "With the class vbd a disk in xl's syntax follows, with vif a network interface."
            })
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private List<String> device;

    @Override
    public Integer call() throws CommandException {
        command.attach(device);
        return 0;
    }
}
