package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `splitring down`: stops what runs in a run directory, and waits for its end.
@Command(
        name = "down",
        description = "Stop the lab that runs in a run directory, and wait until it has stopped.",
        mixinStandardHelpOptions = true)
final class DownCommand implements Callable<Integer> {
    private static final long PATIENCE_SECONDS = 60;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException {
        Path dir = runDirectory.path();
        ProcessHandle owner = owner(dir).orElseThrow(() -> nobody(dir));
        owner.destroy(); // SIGTERM: it flushes and cleans up
        try {
            owner.onExit().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new CommandException(
                    "process " + owner.pid() + " has not stopped within a minute; see " + dir, e);
        } catch (ExecutionException | InterruptedException e) {
            throw new CommandException("waiting for process " + owner.pid() + " failed", e);
        }
        spec.commandLine().getOut().println("stopped process " + owner.pid());
        return 0;
    }

    private static Optional<ProcessHandle> owner(Path dir) throws CommandException {
        try {
            return RunDirectory.owner(dir);
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be read: " + e, e);
        }
    }

    private static CommandException nobody(Path dir) {
        return new CommandException("nothing runs in run directory " + dir);
    }
}
