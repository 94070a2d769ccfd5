package org.splitring.driverdomain;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.RunningLab.Entrance;
import org.splitring.driverdomain.lab.Lab;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring up`: starts a lab and runs it until it is told to stop.
@Command(
        name = UpCommand.NAME,
        description =
                "Start the guests, disks and networks of a lab file, and run them until Ctrl-C.",
        mixinStandardHelpOptions = true)
final class UpCommand implements Callable<Integer> {
    static final String NAME = "up";
    static final String HTTP = "--http";
    static final String PLUGINS = "--plugins";

    @Parameters(paramLabel = "LAB.toml", description = "The lab file.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path labFile;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Option(
            names = "--detach",
            description = "Return when everything is connected; stop it with 'splitring down'.")
    private boolean detach;

    @Option(
            names = PLUGINS,
            paramLabel = "DIR",
            description =
                    "Folder of plug-in jars with device drivers (default: plugins beside LAB.toml).")
    private @Nullable Path plugins;

    @Option(
            names = "--dry-run",
            description = "Check the lab file, show what would be made, and make nothing.")
    private boolean dryRun;

    @Option(
            names = HTTP,
            arity = "0..1",
            fallbackValue = "8000",
            paramLabel = "PORT",
            description =
                    "Show the web page and the control API on this port of localhost (without a"
                            + " number: ${FALLBACK-VALUE}).")
    private @Nullable Integer http;

    @Override
    public Integer call() throws Exception {
        // Only the one that runs them has any.
        LabChanges changes = detach ? new LabChanges() : LabChanges.read(runDirectory.path());
        Lab lab = changes.lab(labFile);
        if (http != null && (http < 1 || http > 65_535)) {
            throw new CommandException(HTTP + " " + http + " is no port: 1 to 65535");
        }
        if (plugins != null && !Files.isDirectory(plugins)) {
            throw new CommandException(PLUGINS + " " + plugins + ": there is no such folder");
        }
        if (dryRun) {
            new LabPlan(lab).lines().forEach(System.out::println);
            return 0;
        }
        if (detach) {
            return BackgroundLab.start(
                    labFile,
                    runDirectory.path(),
                    System.out::println,
                    BackgroundLab.options(plugins, http));
        }
        return new LabRun(
                        new LabRun.Setting(
                                lab,
                                changes,
                                runDirectory.path(),
                                Optional.ofNullable(plugins),
                                http == null ? OptionalInt.empty() : OptionalInt.of(http),
                                Entrance.TAKE,
                                false))
                .toEnd();
    }
}
