package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring save`: a guest's devices in a file, for `restore`.
@Command(
        name = "save",
        description = {
            "Suspend a guest, flush its disks, write into a file what its devices are, and end it.",
            "'restore' makes it again, in this lab or another: same name, memory, MAC addresses,",
            "images, limits and devices. What is on its disks stays in its images (of a disk in memory",
            "it is written into FILE.DISK), and what its processes had in memory is lost."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring save web web.saved"})
final class SaveCommand implements Callable<Integer> {
    @Mixin private DeviceRequests devices = new DeviceRequests();

    @Parameters(index = "1", paramLabel = "FILE", description = "Is made, and must not be there.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path file;

    @Option(
            names = {"-c", "--leave-running"},
            description = "Do not end the guest: it goes on when the file is written.")
    private boolean leaveRunning;

    @Override
    public Integer call() throws CommandException {
        devices.save(file, leaveRunning);
        return 0;
    }
}
