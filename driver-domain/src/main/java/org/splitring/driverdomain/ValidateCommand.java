package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabFile;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring validate`: looks whether a lab file makes sense.
@Command(
        name = "validate",
        description = {
            "Check a lab file, and show what 'up' would make of it: the same as up --dry-run.",
            "Nothing is made, opened or started."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring validate examples/net.toml"})
final class ValidateCommand implements Callable<Integer> {
    @Parameters(paramLabel = "LAB.toml", description = "The lab file.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path labFile;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws LabException, CommandException {
        new LabPlan(LabFile.read(labFile)).lines().forEach(spec.commandLine().getOut()::println);
        return 0;
    }
}
