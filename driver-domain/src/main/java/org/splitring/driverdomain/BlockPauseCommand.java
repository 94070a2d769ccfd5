package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring block-pause`: a disk that is in use stands still, and its image is free.
@Command(
        name = "block-pause",
        description = {
            "Stop serving a running guest's disk, and close its image.",
            "The guest waits. Meanwhile the image may be copied, checked or made the base of another."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring block-pause web xvda",
            "             ./splitring disk snapshot -f raw web.img web.qcow2",
            "             ./splitring block-unpause --image qcow2:web.qcow2 web xvda"
        })
final class BlockPauseCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Name or number of the disk: xvdb, 51728.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String disk;

    @Override
    public Integer call() throws CommandException {
        command.pauseDisk(disk);
        return 0;
    }
}
