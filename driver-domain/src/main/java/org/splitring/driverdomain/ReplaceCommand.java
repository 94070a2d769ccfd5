package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/// `splitring replace`: a new driver domain takes the place of the one that runs in a run
/// directory, or has run there; the guests go on.
@Command(
        name = "replace",
        description = {
            "Replace the driver domain of a running lab, and wait until the guests go on.",
            "Guests and their clients see a short delay. A driver domain that does not hand over,",
            "or is stopped, is killed."
        },
        mixinStandardHelpOptions = true)
final class ReplaceCommand implements Callable<Integer> {
    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Override
    public Integer call() throws CommandException, InterruptedException {
        Path dir = runDirectory.path();
        try {
            boolean somebody =
                    RunDirectory.owner(dir).isPresent()
                            || !RunDirectory.livingGuests(dir).isEmpty();
            Path lab =
                    RunDirectory.lab(dir)
                            .filter(file -> somebody)
                            .orElseThrow(
                                    () ->
                                            new CommandException(
                                                    "nothing runs in run directory " + dir));
            List<String> options = new ArrayList<>(List.of(BackgroundLab.TAKE_OVER));
            RunDirectory.httpPort(dir).ifPresent(port -> options.add(UpCommand.HTTP + "=" + port));
            return BackgroundLab.start(lab, dir, System.out::println, options);
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be read: " + e, e);
        }
    }
}
