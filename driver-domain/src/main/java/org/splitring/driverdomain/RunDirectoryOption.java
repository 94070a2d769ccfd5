package org.splitring.driverdomain;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/// `--run-dir`, which several commands take.
final class RunDirectoryOption {
    @Option(
            names = "--run-dir",
            paramLabel = "DIR",
            description = "Where the sockets are (default: ${DEFAULT-VALUE}).")
    private Path dir = Path.of("run");

    Path path() {
        return dir.toAbsolutePath().normalize();
    }
}
