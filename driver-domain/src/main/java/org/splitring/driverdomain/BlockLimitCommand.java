package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring block-limit`: how much of the storage a disk may use.
@Command(
        name = "block-limit",
        description = {
            "Limit a running guest's disk, from now on; without options it has no limit.",
            "Beyond it the guest waits, nothing fails."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring block-limit --bps 20MiB --iops 500 web xvda"})
final class BlockLimitCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Name or number of the disk: xvdb, 51728.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String disk;

    @Option(
            names = "--bps",
            paramLabel = "SIZE",
            description = "Bytes a second, read and written together: 20MiB. 0 is no limit.")
    private String bps = "";

    @Option(
            names = "--iops",
            paramLabel = "NUMBER",
            description = "Operations a second of every kind. 0 is no limit.")
    private String iops = "";

    @Option(
            names = "--burst",
            paramLabel = "MILLISECONDS",
            description = "What may be saved up while less is done, as time (default: 100).")
    private String burst = "";

    @Option(
            names = "--weight",
            paramLabel = "NUMBER",
            description =
                    "1 to 1000: what it gets beside other disks that want storage at the same"
                            + " time (default: 100).")
    private String weight = "";

    @Override
    public Integer call() throws CommandException {
        command.limitDisk(disk, Map.of("bps", bps, "iops", iops, "burst", burst, "weight", weight));
        return 0;
    }
}
