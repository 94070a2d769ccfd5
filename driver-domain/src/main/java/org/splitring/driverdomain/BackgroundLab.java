package org.splitring.driverdomain;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// A driver domain as a process in the background, which its starter leaves when it is ready.
final class BackgroundLab {
    /// Option of `up`: this is the process in the background.
    static final String IN_BACKGROUND = "--in-background";

    /// Option of `up`: whoever runs in the run directory is replaced.
    static final String TAKE_OVER = "--take-over";

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
        List<String> arguments = new ArrayList<>(List.of("up", labFile.toString()));
        arguments.add("--run-dir=" + runDir);
        arguments.add(IN_BACKGROUND);
        arguments.addAll(options);
        return arguments;
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
