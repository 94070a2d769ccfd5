package org.splitring.driverdomain;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.lab.Size;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring capture`: writes the frames of a network into a file.
@Command(
        name = "capture",
        description = {
            "Write the frames that pass a network's ports into a pcapng file, until Ctrl-C.",
            "The file can be read at any moment, for example with tshark -r FILE."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring capture lan web.pcapng --port web.0"})
final class CaptureCommand implements Callable<Integer> {
    static final long DEFAULT_BYTES = 256L << 20;

    private static final Duration PATIENCE = Duration.ofSeconds(15);
    private static final long MIN_BYTES = 4096;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(index = "0", paramLabel = "NETWORK", description = "Name of the network.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String network;

    @Parameters(index = "1", paramLabel = "FILE", description = "Is made, or emptied.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path file;

    @Option(names = "--port", paramLabel = "NAME", description = "One port (default: all).")
    private String port = "";

    @Option(names = "--size", description = "Largest size of the file (default: ${DEFAULT-VALUE}).")
    private String size = "256MiB";

    @Option(names = "--seconds", description = "End by itself after this time.")
    private @Nullable Integer seconds;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    private final CountDownLatch stop = new CountDownLatch(1);

    @Override
    public Integer call() throws CommandException, InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        OptionalLong bytes = Size.parse(size);
        if (bytes.isEmpty() || bytes.getAsLong() < MIN_BYTES) {
            throw new CommandException(
                    "--size \"" + size + "\" is not a size such as 256MiB, at least 4096");
        }
        String path = file.toAbsolutePath().normalize().toString();
        ControlClient control = new ControlClient(runDirectory.path());
        String captures = ControlClient.path("captures");
        control.call(
                "POST",
                captures,
                Map.of(
                        "network",
                        network,
                        "port",
                        port,
                        "file",
                        path,
                        "size_bytes",
                        bytes.getAsLong()),
                PATIENCE);
        Runtime.getRuntime().addShutdownHook(new Thread(this::awaitEnd, "capture"));
        out.println("capturing into " + file + (seconds == null ? "; Ctrl-C ends it" : ""));
        if (seconds == null) {
            stop.await();
        } else {
            stop.await(seconds, TimeUnit.SECONDS);
        }
        control.print("DELETE", captures, Map.of("file", path), PATIENCE, out);
        return 0;
    }

    /// On a signal: the JVM ends when the file is complete.
    private void awaitEnd() {
        stop.countDown();
        try {
            Splitring.COMMAND_ENDED.await(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
