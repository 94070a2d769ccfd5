package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring block-attach`: `attach` of a disk, as xl has it.
@Command(
        name = "block-attach",
        description = "Attach a disk to a running guest: the same as attach DOMAIN vbd DISK.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring block-attach web data.img,raw,xvdb,rw"})
final class BlockAttachCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "DISK",
            description = "The disk in xl's syntax, in one word or several.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private List<String> disk;

    @Override
    public Integer call() throws CommandException {
        List<String> words = new ArrayList<>(disk);
        words.addFirst("vbd");
        command.attach(words);
        return 0;
    }
}
