package org.splitring.driverdomain;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.RawTerminal;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring console`: joins this terminal to a guest's console.
///
/// Bytes go through as they are, in both directions, but for Ctrl-], which leaves. Where the input
/// is no terminal it is sent as it comes, and the command ends when it has ended and the guest has
/// been silent for a while.
@Command(
        name = "console",
        description =
                "Join a guest's console: first what was printed lately, then both ways. Leave with"
                        + " Ctrl-].",
        mixinStandardHelpOptions = true)
final class ConsoleCommand implements Callable<Integer> {
    private static final int LEAVE = 0x1D; // Ctrl-]
    private static final int STDIN = 0;

    @Parameters(paramLabel = "NAME", description = "Name of the domain.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String name;

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Option(
            names = "--linger",
            paramLabel = "MILLISECONDS",
            defaultValue = "1000",
            description =
                    "Without a terminal: how long the guest is to be silent after the end of the"
                            + " input (default: ${DEFAULT-VALUE}).")
    private long lingerMillis;

    private final CountDownLatch left = new CountDownLatch(1);
    private final AtomicLong lastHeard = new AtomicLong(System.nanoTime());

    @Override
    public Integer call() throws CommandException, IOException, InterruptedException {
        Path socket = RunDirectory.consoleSocket(runDirectory.path(), name);
        try (SocketChannel channel = connect(socket);
                Screen screen = Screen.open()) {
            Thread output = Thread.ofVirtual().start(() -> show(channel));
            Thread.ofPlatform().daemon().name("input").start(() -> type(channel, screen.raw()));
            left.await();
            if (screen.raw() == null) {
                linger(output);
            }
        }
        return 0;
    }

    private SocketChannel connect(Path socket) throws CommandException, IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            return channel;
        } catch (IOException e) {
            channel.close();
            String why =
                    Files.exists(socket.getParent())
                            ? "the lab does not run, or is starting"
                            : "there is no such domain";
            throw new CommandException("no console of " + name + " at " + socket + ": " + why, e);
        }
    }

    private void show(SocketChannel channel) {
        try (channel) {
            InputStream in = Channels.newInputStream(channel);
            OutputStream out = new FileOutputStream(FileDescriptor.out);
            byte[] bytes = new byte[4096];
            for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
                lastHeard.set(System.nanoTime());
                out.write(bytes, 0, count);
            }
        } catch (IOException e) {
            // the lab has stopped, or nobody reads our output any more
        } finally {
            left.countDown();
        }
    }

    private void type(SocketChannel channel, @Nullable RawTerminal raw) {
        try {
            InputStream in = new FileInputStream(FileDescriptor.in);
            OutputStream out = Channels.newOutputStream(channel);
            byte[] bytes = new byte[256];
            for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
                int end = raw == null ? count : indexOfLeave(bytes, count);
                out.write(bytes, 0, end);
                if (end < count) {
                    break;
                }
            }
        } catch (IOException e) {
            // the lab has stopped: the other direction says so too
        } finally {
            left.countDown();
        }
    }

    private static int indexOfLeave(byte[] bytes, int count) {
        int at = 0;
        while (at < count && bytes[at] != LEAVE) {
            at++;
        }
        return at;
    }

    /// Waits for the answers to what was piped in.
    private void linger(Thread output) throws InterruptedException {
        lastHeard.set(System.nanoTime());
        long silence = TimeUnit.MILLISECONDS.toNanos(lingerMillis);
        for (long wait = silence; wait > 0 && output.isAlive(); ) {
            output.join(TimeUnit.NANOSECONDS.toMillis(wait) + 1);
            wait = silence - (System.nanoTime() - lastHeard.get());
        }
    }

    /// The terminal while we have it, if there is one.
    ///
    /// @param raw is put back at the end, also by a signal
    private record Screen(@Nullable RawTerminal raw) implements AutoCloseable {
        static Screen open() throws IOException {
            if (!RawTerminal.isTerminal(STDIN)) {
                return new Screen(null);
            }
            System.out.println("leave with Ctrl-]");
            RawTerminal raw = RawTerminal.open(STDIN);
            Runtime.getRuntime().addShutdownHook(new Thread(raw::close, "terminal"));
            return new Screen(raw);
        }

        @Override
        public void close() {
            if (raw != null) {
                raw.close();
                System.out.println();
            }
        }
    }
}
