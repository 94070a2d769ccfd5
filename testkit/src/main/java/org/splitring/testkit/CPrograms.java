package org.splitring.testkit;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The peers written in C, compiled from their sources against Xen's public headers when a test
/// first asks for one. What they do stands at the head of each file in `testkit/src/main/c`.
public final class CPrograms {
    private static final List<String> FLAGS =
            List.of("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function");

    private static final Map<String, Path> COMPILED = new HashMap<>();
    private static @Nullable Path folder;

    private CPrograms() {}

    /// A frontend that attaches to a domain's socket and does checked block I/O.
    public static Path frontend() {
        return compiled("cfront");
    }

    /// One half of a bare ring in a file that two processes map.
    public static Path ring() {
        return compiled("cring");
    }

    /// A guest that does anything but what it should.
    public static Path hostileGuest() {
        return compiled("hostile");
    }

    /// A library to be preloaded, with which Debian's xenstored runs without Xen.
    public static Path fakeXen() {
        return compiled("fakexen", "-shared", "-fPIC");
    }

    private static synchronized Path compiled(String name, String... flags) {
        Path gcc = ExternalTools.require("gcc", "gcc");
        ExternalTools.requireFile("/usr/include/xen/io/ring.h", "libxen-dev");
        return COMPILED.computeIfAbsent(name, n -> compile(gcc, n, flags));
    }

    private static Path compile(Path gcc, String name, String... flags) {
        try {
            Path to = temporaryFolder();
            copySource("attach.h", to);
            copySource(name + ".c", to);
            List<String> command = new ArrayList<>(List.of(gcc.toString()));
            command.addAll(FLAGS);
            command.addAll(List.of(flags));
            command.addAll(List.of("-pthread", name + ".c", "-o", name));
            Process compiler =
                    new ProcessBuilder(command)
                            .directory(to.toFile())
                            .redirectErrorStream(true)
                            .start();
            String said =
                    new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (compiler.waitFor() != 0) {
                throw new AssertionError(name + ".c does not compile:\n" + said);
            }
            return to.resolve(name);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while compiling " + name, e);
        }
    }

    private static void copySource(String file, Path to) throws IOException {
        try (InputStream source = CPrograms.class.getResourceAsStream("c/" + file)) {
            if (source == null) {
                throw new AssertionError("no source " + file);
            }
            Files.write(to.resolve(file), source.readAllBytes());
        }
    }

    private static Path temporaryFolder() throws IOException {
        if (folder == null) {
            Path made = Files.createTempDirectory("splitring-c");
            Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(made)));
            folder = made;
        }
        return folder;
    }

    private static void remove(Path tree) {
        try (Stream<Path> paths = Files.walk(tree)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
