package org.splitring.driverdomain;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.NbdSource;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring block-unpause`: a paused disk goes on, perhaps with another image.
@Command(
        name = "block-unpause",
        description = "Serve a running guest's disk again that was paused with block-pause.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring block-unpause web xvda",
            "             ./splitring block-unpause --image qcow2:web.qcow2 web xvda"
        })
final class BlockUnpauseCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1",
            paramLabel = "DISK",
            description = "Name or number of the disk: xvdb, 51728.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String disk;

    @Option(
            names = "--image",
            paramLabel = "[FORMAT:]PATH",
            description = "The image that the disk has from now on (default: the same).")
    private @Nullable String image;

    @Override
    public Integer call() throws CommandException {
        command.unpauseDisk(disk, image == null ? null : source(image));
        return 0;
    }

    private static DiskSource source(String text) throws CommandException {
        try {
            if (NbdSource.isOne(text)) {
                return NbdSource.parse(text, Path.of(""));
            }
            int colon = text.indexOf(':');
            boolean bare = colon < 0 || text.startsWith("/") || text.startsWith(".");
            String format = bare ? "" : text.substring(0, colon + 1);
            Path path = Path.of(bare ? text : text.substring(colon + 1)).toAbsolutePath();
            return DiskSource.parse(format + path.normalize());
        } catch (DiskException | InvalidPathException e) {
            throw new CommandException("--image is " + e.getMessage(), e);
        }
    }
}
