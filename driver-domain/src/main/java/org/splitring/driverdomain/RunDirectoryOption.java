package org.splitring.driverdomain;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/// `--run-dir`, which several commands take.
final class RunDirectoryOption {
    static final String NAME = "--run-dir";

    @Option(
            names = NAME,
            paramLabel = "DIR",
            description = "Where the sockets are (default: ${DEFAULT-VALUE}).")
    private Path dir = Path.of("run");

    Path path() {
        return dir.toAbsolutePath().normalize();
    }
}
