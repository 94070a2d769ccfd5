package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring boot`: the labs of a folder, one after the other.
@Command(
        name = "boot",
        description = {
            "Start the labs of a folder in the background, in the order of their names (10-net.toml",
            "before 20-web.toml): each when the one before is up. One that runs already is left alone.",
            "With --stop they are stopped, the last one first."
        },
        mixinStandardHelpOptions = true,
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:all are up, or stopped",
            "1:one of them is not, or there is no such folder"
        },
        footer = {
            "",
            "For example: ./splitring boot /etc/splitring/auto --run-dir /run/splitring-labs",
            "             ./splitring boot --stop /etc/splitring/auto --run-dir /run/splitring-labs"
        })
final class BootCommand implements Callable<Integer> {
    private static final String SUFFIX = ".toml";

    @Parameters(
            paramLabel = "DIR",
            description = "Folder of lab files; all others in it are ignored.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path folder;

    @Option(
            names = RunDirectoryOption.NAME,
            paramLabel = "RUNS",
            description =
                    "Lab NAME.toml runs in run directory RUNS/NAME (default: ${DEFAULT-VALUE}).")
    private Path runs = Path.of("run");

    @Option(names = "--stop", description = "Stop them.")
    private boolean stop;

    @Option(
            names = "--keep-going",
            description = "Start the ones behind one that fails, too; --stop always goes on.")
    private boolean keepGoing;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException, InterruptedException {
        Path labs = folder.toAbsolutePath().normalize();
        try {
            return stop ? stop(labs) : start(labs);
        } catch (IOException e) {
            throw new CommandException("folder " + labs + " cannot be read: " + e, e);
        }
    }

    private void say(String line) {
        spec.commandLine().getOut().println(line);
    }

    private Path runDir(String name) {
        return runs.toAbsolutePath().normalize().resolve(name);
    }

    private int start(Path labs) throws IOException, InterruptedException, CommandException {
        Map<String, Path> files = files(labs);
        if (files.isEmpty()) {
            say("no lab in " + labs);
        }
        boolean failed = false;
        for (var lab : files.entrySet()) {
            if (failed && !keepGoing) {
                say(lab.getKey() + ": not started");
            } else if (!isUp(lab.getKey(), lab.getValue())) {
                failed = true;
            }
        }
        return failed ? 1 : 0;
    }

    private static Map<String, Path> files(Path labs) throws IOException, CommandException {
        if (!Files.isDirectory(labs)) {
            throw new CommandException(labs + " is no folder of labs");
        }
        TreeMap<String, Path> files = new TreeMap<>();
        try (Stream<Path> inside = Files.list(labs)) {
            for (Path file : inside.toList()) {
                String name = String.valueOf(file.getFileName());
                if (name.endsWith(SUFFIX) && Files.isRegularFile(file)) {
                    files.put(name.substring(0, name.length() - SUFFIX.length()), file);
                }
            }
        }
        return files;
    }

    private boolean isUp(String name, Path file) throws IOException, InterruptedException {
        Path dir = runDir(name);
        if (RunDirectory.owner(dir).isPresent()) {
            Optional<Path> other = RunDirectory.lab(dir).filter(lab -> !lab.equals(file));
            say(
                    name
                            + ": "
                            + other.map(lab -> dir + " is in use by " + lab)
                                    .orElse("runs already"));
            return other.isEmpty();
        }
        Files.createDirectories(dir.resolveSibling(""));
        List<String> said = new ArrayList<>();
        int code = BackgroundLab.start(file, dir, said::add, List.of());
        if (code == 0) {
            say(name + ": up, run directory " + dir);
        } else {
            say(name + ": failed: " + (said.isEmpty() ? "status " + code : said.getLast()));
        }
        return code == 0;
    }

    private int stop(Path labs) throws IOException {
        boolean failed = false;
        for (String name : running(labs).reversed()) {
            try {
                DownCommand.stop(runDir(name), line -> {});
                say(name + ": stopped");
            } catch (CommandException e) {
                say(name + ": failed: " + e.getMessage());
                failed = true;
            }
        }
        return failed ? 1 : 0;
    }

    /// The labs of the folder that run, also those whose files have gone since.
    private List<String> running(Path labs) throws IOException {
        List<String> running = new ArrayList<>();
        if (!Files.isDirectory(runs)) {
            return running;
        }
        try (Stream<Path> inside = Files.list(runs)) {
            for (Path dir : inside.sorted().toList()) {
                boolean runs =
                        RunDirectory.owner(dir).isPresent()
                                || !RunDirectory.livingGuests(dir).isEmpty();
                if (runs
                        && RunDirectory.lab(dir)
                                .map(Path::getParent)
                                .filter(labs::equals)
                                .isPresent()) {
                    running.add(String.valueOf(dir.getFileName()));
                }
            }
        }
        return running;
    }
}
