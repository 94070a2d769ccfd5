package org.splitring.driverdomain;

import java.util.OptionalLong;
import java.util.concurrent.Callable;
import org.splitring.driverdomain.lab.Size;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring block-resize`: another size for a disk that is in use.
@Command(
        name = "block-resize",
        description = {
            "Change the size of a running guest's disk, and of its image.",
            "New sectors are zeros. A smaller size cuts off what lies behind it, for good."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring block-resize web xvda 20GiB"})
final class BlockResizeCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Name or number of the disk: xvdb, 51728.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String disk;

    @Parameters(
            index = "2",
            paramLabel = "SIZE",
            description = "Bytes, or with a unit of 1024: 20GiB, 512M.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String size;

    @Override
    public Integer call() throws CommandException {
        OptionalLong bytes = Size.parse(size);
        if (bytes.isEmpty()) {
            throw new CommandException("\"" + size + "\" is no size, such as 20GiB");
        }
        command.resizeDisk(disk, bytes.getAsLong());
        return 0;
    }
}
