package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// Programs of others that a benchmark runs.
final class ToolProgram {
    private static final List<String> FOLDERS =
            List.of("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin");

    private ToolProgram() {}

    static boolean isInstalled(String name) {
        return FOLDERS.stream().anyMatch(folder -> Files.isExecutable(Path.of(folder, name)));
    }

    /// Runs one to its end.
    ///
    /// @return what it printed, both streams
    /// @throws IOException when it fails or takes longer; says what it printed
    static String run(List<String> command, Map<String, String> environment, long limitSeconds)
            throws IOException, InterruptedException {
        Path output = Files.createTempFile("splitring-bench", ".out");
        try {
            Process process = start(command, environment, output);
            try {
                boolean ended = process.waitFor(limitSeconds, TimeUnit.SECONDS);
                String said = Files.readString(output, StandardCharsets.UTF_8);
                if (!ended || process.exitValue() != 0) {
                    throw new IOException(
                            "%s %s: %s"
                                    .formatted(
                                            String.join(" ", command),
                                            ended
                                                    ? "ended with status " + process.exitValue()
                                                    : "did not end in " + limitSeconds + " s",
                                            said.strip()));
                }
                return said;
            } finally {
                process.destroyForcibly();
            }
        } finally {
            Files.deleteIfExists(output);
        }
    }

    static String run(List<String> command) throws IOException, InterruptedException {
        return run(command, Map.of(), 60);
    }

    /// Starts one that stays.
    static Process start(List<String> command, Map<String, String> environment, Path output)
            throws IOException {
        ProcessBuilder builder =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile());
        builder.environment().putAll(environment);
        return builder.start();
    }
}
