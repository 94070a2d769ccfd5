package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring device`: devices of one's own.
@Command(
        name = "device",
        description = "Make plug-in devices of your own; docs/new-device.md explains them.",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        subcommands = DeviceCommand.New.class)
final class DeviceCommand implements Callable<Integer> {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() {
        throw new CommandLine.ParameterException(
                spec.commandLine(), "a command of device is missing");
    }

    /// `splitring device new`: the project of a device that works, to be made another one.
    @Command(
            name = "new",
            description = {
                "Make a folder with a plug-in device that builds and runs as it is: both drivers,",
                "their protocol, the test of the whole contract, a lab file, and a README with the",
                "commands. It gives its guest random bytes, until you make something else of it."
            },
            mixinStandardHelpOptions = true,
            footer = {"", "For example: ./splitring device new clock"})
    static final class New implements Callable<Integer> {
        @Parameters(
                paramLabel = "NAME",
                description = "The class of the device: lower-case letters, digits, - and _.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private String name;

        @Option(
                names = "--dir",
                paramLabel = "DIR",
                description = "The folder to make (default: NAME). Nothing in it is overwritten.")
        private @Nullable Path dir;

        @Spec
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private CommandSpec spec;

        @Override
        public Integer call() throws CommandException {
            NewDevice device = NewDevice.named(name);
            Path folder = dir == null ? Path.of(name) : dir;
            device.write(folder);
            spec.commandLine()
                    .getOut()
                    .println("made " + folder + "; " + folder.resolve("README.md") + " goes on");
            return 0;
        }
    }
}
