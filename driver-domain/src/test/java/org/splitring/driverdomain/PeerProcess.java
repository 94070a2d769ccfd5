package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// A program of others that runs beside a lab, and what it has said so far. It ends with
/// [#close].
final class PeerProcess implements AutoCloseable {
    private final Process process;
    private final Path output;

    private PeerProcess(Process process, Path output) {
        this.process = process;
        this.output = output;
    }

    /// @param dir where its output is kept, and its working directory
    static PeerProcess start(Path dir, List<String> command) throws IOException {
        Path output = Files.createTempFile(dir, "peer", ".txt");
        Process process =
                new ProcessBuilder(command)
                        .directory(dir.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        return new PeerProcess(process, output);
    }

    /// Not all that QEMU's serial line says is UTF-8.
    String said() throws IOException {
        return Files.readString(output, StandardCharsets.ISO_8859_1);
    }

    /// Waits until it has said this, or has ended without.
    void awaitSaid(String words) throws IOException {
        awaitSaid(words, LabUnderTest.PATIENCE);
    }

    void awaitSaid(String words, Duration patience) throws IOException {
        try {
            await().atMost(patience).until(() -> said().contains(words) || !process.isAlive());
        } finally {
            assertTrue(said().contains(words), () -> words + " was not said: " + saidIfAny());
        }
    }

    private String saidIfAny() {
        try {
            return said();
        } catch (IOException e) {
            return e.toString();
        }
    }

    /// It is asked to end, and killed when it does not.
    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(5, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
