package org.splitring.benchmarks;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/// What the contenders in C need: compiled anew for each benchmark from the sources that we carry.
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

    /// Compiles `NAME.c` into a folder; the message of the compiler is part of the exception.
    ///
    /// @return the program, `NAME`
    static Path compile(Path folder, String name, String... flags)
            throws IOException, InterruptedException {
        Path source = folder.resolve(name + ".c");
        Path program = folder.resolve(name);
        try (InputStream in = CProgram.class.getResourceAsStream(name + ".c")) {
            Files.copy(Objects.requireNonNull(in, name + ".c is not in the jar"), source);
        }
        List<String> command = new ArrayList<>();
        command.addAll(List.of(compiler().orElseThrow().toString(), "-O2", "-pthread"));
        command.addAll(List.of(flags));
        command.addAll(List.of("-o", program.toString(), source.toString()));
        Process gcc = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (gcc.waitFor() != 0) {
            throw new IOException("gcc does not compile " + name + ".c: " + output.strip());
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
