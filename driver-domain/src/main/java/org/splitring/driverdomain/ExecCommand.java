package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.splitring.hypervisor.linux.RawTerminal;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring exec`: runs a program in a guest's network.
///
/// The program has our terminal, and its exit status is ours. Ctrl-C is for it alone; a signal
/// that asks us to end is passed on.
@Command(
        name = "exec",
        description =
                "Run a program in a guest's network namespace, for example: exec web -- ping"
                        + " 10.0.0.2.",
        mixinStandardHelpOptions = true)
final class ExecCommand implements Callable<Integer> {
    private static final int STDIN = 0;

    @Parameters(index = "0", paramLabel = "NAME", description = "Name of the domain.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String name;

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "COMMAND",
            description = "The program and its arguments, after --.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private List<String> command;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Override
    public Integer call() throws CommandException, IOException, InterruptedException {
        Path runDir = runDirectory.path();
        Path folder = RunDirectory.domain(runDir, name);
        if (!Files.isDirectory(folder)) {
            throw new CommandException("no domain " + name + " in " + runDir);
        }
        Optional<NamespaceRecord> namespace = NamespaceRecord.living(folder);
        if (namespace.isEmpty()) {
            throw new CommandException(
                    "domain "
                            + name
                            + " has no network namespace: "
                            + (GuestRecord.living(folder).isPresent()
                                    ? "its guest has no vif"
                                    : "no guest of ours runs there"));
        }
        List<String> line = namespace.get().entrance().commandLine(command);
        Process process;
        try {
            process = new ProcessBuilder(line).inheritIO().start();
        } catch (IOException e) {
            throw new CommandException("cannot run " + line.getFirst() + ": " + e.getMessage(), e);
        }
        boolean terminal = RawTerminal.isTerminal(STDIN);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> follow(process, terminal), "exec"));
        return process.waitFor();
    }

    /// We are told to end. Ctrl-C in a terminal has told the program too, and it is for the
    /// program to say what that means; otherwise the program hears of it from us.
    private static void follow(Process process, boolean terminal) {
        if (!terminal) {
            process.destroy();
        }
        try {
            Runtime.getRuntime().halt(process.waitFor());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
