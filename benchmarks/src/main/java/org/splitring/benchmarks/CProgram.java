package org.splitring.benchmarks;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/// The C contender: compiled anew for each benchmark from the source that we carry.
final class CProgram {
    private static final String HEADER = "/usr/include/xen/io/ring.h";

    private CProgram() {}

    /// Why it cannot be compiled here; empty when it can.
    static Optional<String> whatIsMissing() {
        if (compiler().isEmpty()) {
            return Optional.of("no gcc on the path (Debian: gcc)");
        }
        if (!Files.isReadable(Path.of(HEADER))) {
            return Optional.of("no " + HEADER + " (Debian: libxen-dev)");
        }
        return Optional.empty();
    }

    /// Compiles into a folder; the message of the compiler is part of the exception.
    static Path compile(Path folder) throws IOException, InterruptedException {
        Path source = folder.resolve("ringbench.c");
        Path program = folder.resolve("ringbench");
        try (InputStream in = CProgram.class.getResourceAsStream("ringbench.c")) {
            Files.copy(Objects.requireNonNull(in, "ringbench.c is not in the jar"), source);
        }
        Process gcc =
                new ProcessBuilder(
                                compiler().orElseThrow().toString(),
                                "-O2",
                                "-pthread",
                                "-o",
                                program.toString(),
                                source.toString())
                        .redirectErrorStream(true)
                        .start();
        String output = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (gcc.waitFor() != 0) {
            throw new IOException("gcc does not compile ringbench.c: " + output.strip());
        }
        return program;
    }

    private static Optional<Path> compiler() {
        String path = Objects.requireNonNullElse(System.getenv("PATH"), "");
        List<String> folders = Arrays.asList(path.split(":", -1));
        return folders.stream()
                .map(folder -> Path.of(folder, "gcc"))
                .filter(Files::isExecutable)
                .findFirst();
    }
}
