package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
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
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(60);
    private static final long LOOK_MILLIS = 10;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException {
        Path dir = runDirectory.path();
        ProcessHandle owner = owner(dir).orElseThrow(() -> nobody(dir));
        owner.destroy(); // SIGTERM: it flushes and cleans up
        awaitEnd(owner, dir);
        spec.commandLine().getOut().println("stopped process " + owner.pid());
        return 0;
    }

    private static void awaitEnd(ProcessHandle process, Path dir) throws CommandException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        try {
            while (!hasEnded(process)) {
                if (System.nanoTime() - deadline > 0) {
                    throw new CommandException(
                            "process "
                                    + process.pid()
                                    + " has not stopped within a minute; see "
                                    + dir);
                }
                Thread.sleep(LOOK_MILLIS);
            }
        } catch (InterruptedException e) {
            throw new CommandException("waiting for process " + process.pid() + " failed", e);
        }
    }

    /// Also when only its number is left, because whoever is now its parent has not looked yet: the
    /// first process of a container may take its time, or never look.
    private static boolean hasEnded(ProcessHandle process) {
        if (!process.isAlive()) {
            return true;
        }
        try {
            String stat = Files.readString(Path.of("/proc", process.pid() + "", "stat"));
            return stat.startsWith("Z", stat.lastIndexOf(')') + 2);
        } catch (IOException e) {
            return true; // gone between the two looks
        }
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
