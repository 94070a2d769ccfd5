package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
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
        stop(runDirectory.path(), spec.commandLine().getOut()::println);
        return 0;
    }

    /// Stops what runs in a run directory, and waits for its end.
    ///
    /// @param say takes a line for each process that has ended
    /// @throws CommandException when nothing runs there, or it does not end
    static void stop(Path dir, Consumer<String> say) throws CommandException {
        try {
            Optional<ProcessIdentity> owner = RunDirectory.owner(dir);
            if (owner.isPresent()) {
                end(owner.get(), dir, say);
            }
            // Guests outlive a driver domain that was killed.
            if (RunDirectory.livingGuests(dir).isEmpty()) {
                if (owner.isEmpty()) {
                    throw new CommandException("nothing runs in run directory " + dir);
                }
                return;
            }
            try (RunDirectory left = RunDirectory.take(dir)) {
                for (var guest : RunDirectory.livingGuests(left.path()).entrySet()) {
                    ProcessIdentity process = guest.getValue().process();
                    process.kill();
                    awaitEnd(process, dir);
                    say.accept(
                            "killed guest process "
                                    + process.pid()
                                    + " of domain "
                                    + guest.getKey());
                }
            }
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be used: " + e, e);
        }
    }

    private static void end(ProcessIdentity owner, Path dir, Consumer<String> say)
            throws CommandException {
        boolean stopped = owner.isStopped();
        if (stopped) {
            owner.kill(); // it would not hear anything else
        } else {
            owner.askToEnd(); // SIGTERM: it flushes and cleans up
        }
        awaitEnd(owner, dir);
        say.accept(
                stopped
                        ? "killed process " + owner.pid() + ", which was stopped (SIGSTOP)"
                        : "stopped process " + owner.pid());
    }

    private static void awaitEnd(ProcessIdentity process, Path dir) throws CommandException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        try {
            while (process.isAlive()) {
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
}
