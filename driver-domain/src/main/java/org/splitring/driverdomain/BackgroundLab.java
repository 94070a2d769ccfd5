package org.splitring.driverdomain;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.RunningLab.Entrance;
import org.splitring.driverdomain.lab.Lab;

/// A driver domain as a process in the background, which its starter leaves when it is ready.
final class BackgroundLab {
    /// Whoever runs in the run directory is replaced.
    static final String TAKE_OVER = "--take-over";

    /// Says that this is the process in the background: its words are read here, in a tenth of the
    /// time that it takes to look at the options of a command.
    private static final String IN_BACKGROUND = "--in-background";

    /// Said on standard output by the process in the background when everything is connected.
    static final String READY = "\u0004ready";

    private BackgroundLab() {}

    /// Starts it, passes on what it says, and returns when everything is connected.
    ///
    /// @param say takes each line
    /// @return exit status
    static int start(Path labFile, Path runDir, Consumer<String> say, List<String> options)
            throws IOException, InterruptedException {
        return start(JavaCommand.driverDomain(arguments(labFile, runDir, options)), say);
    }

    /// What the process in the background is told.
    static List<String> arguments(Path labFile, Path runDir, List<String> options) {
        List<String> arguments = new ArrayList<>(List.of(UpCommand.NAME, labFile.toString()));
        arguments.add(RunDirectoryOption.NAME + "=" + runDir);
        arguments.add(IN_BACKGROUND);
        arguments.addAll(options);
        return arguments;
    }

    /// Options of `up` which the process in the background is to have.
    static List<String> options(@Nullable Path plugins, @Nullable Integer httpPort) {
        List<String> options = new ArrayList<>();
        if (plugins != null) {
            options.add(UpCommand.PLUGINS + "=" + plugins.toAbsolutePath());
        }
        if (httpPort != null) {
            options.add(UpCommand.HTTP + "=" + httpPort);
        }
        return options;
    }

    /// Whether this is the process in the background.
    static boolean isTold(List<String> words) {
        return words.size() > 3
                && words.getFirst().equals(UpCommand.NAME)
                && words.get(3).equals(IN_BACKGROUND);
    }

    /// Runs the lab of [#arguments] to its end.
    ///
    /// @return exit status
    static int run(List<String> words) throws Exception {
        Path runDir = Path.of(value(words, RunDirectoryOption.NAME).orElseThrow());
        LabChanges changes = LabChanges.read(runDir);
        Lab lab = changes.lab(Path.of(words.get(1)));
        Optional<String> http = value(words, UpCommand.HTTP);
        return new LabRun(
                        new LabRun.Setting(
                                lab,
                                changes,
                                runDir,
                                value(words, UpCommand.PLUGINS).map(Path::of),
                                http.map(port -> OptionalInt.of(Integer.parseInt(port)))
                                        .orElse(OptionalInt.empty()),
                                words.contains(TAKE_OVER) ? Entrance.TAKE_OVER : Entrance.TAKE,
                                true))
                .toEnd();
    }

    private static Optional<String> value(List<String> words, String option) {
        String start = option + "=";
        return words.stream()
                .filter(word -> word.startsWith(start))
                .map(word -> word.substring(start.length()))
                .findFirst();
    }

    /// The same with a command line of the caller's.
    static int start(List<String> command, Consumer<String> say)
            throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectInput(Path.of("/dev/null").toFile())
                        .start();
        Thread hook = new Thread(process::destroy, "stop");
        Runtime.getRuntime().addShutdownHook(hook);
        try (BufferedReader said =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = said.readLine(); line != null; line = said.readLine()) {
                if (line.equals(READY)) {
                    Runtime.getRuntime().removeShutdownHook(hook);
                    return 0;
                }
                say.accept(line);
            }
        }
        int code = process.waitFor();
        return code == 0 ? 1 : code;
    }
}
