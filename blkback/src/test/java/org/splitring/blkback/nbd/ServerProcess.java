package org.splitring.blkback.nbd;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.splitring.blkback.image.NbdSource;
import org.splitring.testkit.ExternalTools;

/// An NBD server of others, at a Unix socket.
final class ServerProcess implements AutoCloseable {
    private final Path socket;
    private final List<String> words;
    private Process process;

    private ServerProcess(Path socket, List<String> words) throws IOException {
        this.socket = socket;
        this.words = words;
        start();
    }

    /// @param words options and plugin, after those that say where to listen
    static ServerProcess nbdkit(Path socket, String... words) throws IOException {
        ExternalTools.require("nbdkit", "nbdkit");
        return new ServerProcess(
                socket, all(List.of("nbdkit", "-f", "-U", socket.toString()), words));
    }

    /// @param words options and image
    static ServerProcess qemuNbd(Path socket, String... words) throws IOException {
        ExternalTools.require("qemu-nbd", "qemu-utils");
        return new ServerProcess(
                socket, all(List.of("qemu-nbd", "-t", "-k", socket.toString()), words));
    }

    private static List<String> all(List<String> first, String... words) {
        return Stream.concat(first.stream(), List.of(words).stream()).toList();
    }

    NbdSource source(String export) {
        try {
            return NbdSource.parse("nbd+unix:///" + export + "?socket=" + socket);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /// Returns when it listens.
    void start() throws IOException {
        Files.deleteIfExists(socket);
        Path log = Path.of(socket + ".log");
        process =
                new ProcessBuilder(words)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                        .start();
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(10))
                .until(() -> listens() || !process.isAlive());
        if (!process.isAlive()) {
            throw new IOException(words + ": " + Files.readString(log));
        }
    }

    /// The file is there before anybody listens.
    private boolean listens() {
        try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            return probe.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /// `kill -9`.
    void kill() {
        process.destroyForcibly().onExit().join();
    }

    boolean ends() throws InterruptedException {
        return process.waitFor(20, TimeUnit.SECONDS);
    }

    @Override
    public void close() {
        kill();
    }
}
