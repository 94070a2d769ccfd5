package org.splitring.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Derives `abi-values.txt` again, with gcc and the headers of `libxen-dev`, and compares.
class AbiValuesTest {
    private static final Path SOURCE = Path.of("src/test/c/abi_values.c");
    private static final Path HEADERS = Path.of("/usr/include/xen/io/ring.h");

    @TempDir Path folder;

    @Test
    void dataFileIsWhatTheCompilerSaysToday() throws Exception {
        need(Files.exists(Path.of("/usr/bin/gcc")), "gcc");
        need(Files.exists(HEADERS), "libxen-dev");
        Assumptions.assumeTrue(
                System.getProperty("os.arch").equals("amd64"),
                "-m64 and -m32 are options of the compiler for x86");
        StringBuilder derived = new StringBuilder();
        derived.append(
                "# Sizes, offsets and constants of Xen's public headers; see abi_values.c.\n");
        for (String abi : AbiValues.ABIS) {
            appendValues(derived, abi, abi.equals("x86_32") ? "-m32" : "-m64");
        }
        Path file = Path.of("target/abi-values.txt");
        Files.createDirectories(file.getParent());
        Files.writeString(file, derived);
        assertEquals(
                derived.toString(),
                AbiValues.text(),
                "compare " + file + " with src/test/resources/abi-values.txt");
    }

    private void appendValues(StringBuilder derived, String abi, String machine)
            throws IOException, InterruptedException {
        Path assembly = folder.resolve(abi + ".s");
        Path messages = folder.resolve(abi + ".log");
        Process gcc =
                new ProcessBuilder(
                                "/usr/bin/gcc",
                                "-S",
                                "-O1",
                                "-ffreestanding",
                                machine,
                                "-o",
                                assembly.toString(),
                                SOURCE.toString())
                        .redirectErrorStream(true)
                        .redirectOutput(messages.toFile())
                        .start();
        try {
            assertTrue(gcc.waitFor(60, TimeUnit.SECONDS), "gcc hangs");
        } finally {
            gcc.destroyForcibly();
        }
        assertEquals(0, gcc.exitValue(), () -> read(messages));
        for (String line : Files.readAllLines(assembly, StandardCharsets.ISO_8859_1)) {
            if (line.startsWith("->")) {
                derived.append(abi).append(' ').append(line, 2, line.length()).append('\n');
            }
        }
    }

    /// A missing tool skips the test with the package to install; in CI it is a failure.
    private static void need(boolean present, String debianPackage) {
        if (!present) {
            String message = "needs the Debian package " + debianPackage;
            if ("true".equals(System.getenv("CI"))) {
                Assertions.fail(message);
            }
            Assumptions.abort(message);
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e.toString();
        }
    }
}
