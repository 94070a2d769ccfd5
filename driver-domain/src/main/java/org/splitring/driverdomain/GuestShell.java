package org.splitring.driverdomain;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What answers on a guest's console: a reader of lines with a few commands. It is a program like
/// any other in the guest, on the console's socket; while another one is connected that one has the
/// keyboard.
///
/// What the guest's process prints is printed here too. A console that nobody drains must not stop
/// the guest, so of that only [#LINES_KEPT] lines are kept for it.
final class GuestShell implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(GuestShell.class);
    private static final int LINES_KEPT = 256;
    private static final int LONGEST_LINE = 256;
    private static final String PROMPT = "# ";
    private static final String END = "\r\n";

    /// Does what a command says, and prints lines.
    @FunctionalInterface
    interface Action {
        void run(Consumer<String> print) throws Exception;
    }

    private record Entry(String help, Action action) {}

    private final SocketChannel channel;
    private final String name;
    private final Map<String, Entry> commands = new TreeMap<>();
    private final BlockingQueue<String> pending = new ArrayBlockingQueue<>(LINES_KEPT);
    private final StringBuilder line = new StringBuilder(); // of the reading thread

    private GuestShell(SocketChannel channel, String name) {
        this.channel = channel;
        this.name = name;
    }

    /// Connects to the console.
    static GuestShell connect(Path consoleSocket, String domain) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(consoleSocket));
            return new GuestShell(channel, domain);
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /// Adds a command. Before [#start].
    GuestShell command(String word, String help, Action action) {
        commands.put(word, new Entry(help, action));
        return this;
    }

    /// Greets, and reads what is typed.
    void start() {
        command("help", "this list", this::help);
        Thread.ofVirtual().name("console output").start(this::write);
        Thread.ofVirtual().name("console input").start(this::read);
        put(END + name + " is up; help lists the commands" + END + PROMPT);
    }

    /// A stream that prints where `stream` does, and on the console.
    PrintStream beside(PrintStream stream) {
        return new PrintStream(new Beside(stream), true, StandardCharsets.UTF_8);
    }

    private final class Beside extends OutputStream {
        private final PrintStream first;
        private final ByteArrayOutputStream current = new ByteArrayOutputStream();

        Beside(PrintStream first) {
            this.first = first;
        }

        @Override
        public synchronized void write(int value) {
            first.write(value);
            if (value == '\n') {
                put(current.toString(StandardCharsets.UTF_8) + END);
                current.reset();
            } else if (current.size() < LONGEST_LINE) {
                current.write(value);
            }
        }

        @Override
        public void flush() {
            first.flush();
        }
    }

    /// The oldest is given up when nobody takes them.
    private void put(String text) {
        while (!pending.offer(text)) {
            pending.poll();
        }
    }

    private void write() {
        try {
            OutputStream out = Channels.newOutputStream(channel);
            while (true) {
                out.write(pending.take().getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            // the console has gone with its device
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void read() {
        try {
            InputStream in = Channels.newInputStream(channel);
            for (int key = in.read(); key >= 0; key = in.read()) {
                typed(key);
            }
        } catch (IOException e) {
            // the same
        }
    }

    private void typed(int key) {
        switch (key) {
            case '\r', '\n' -> {
                put(END);
                run(line.toString().strip());
                line.setLength(0);
                put(PROMPT);
            }
            case 0x7F, '\b' -> {
                if (!line.isEmpty()) {
                    line.setLength(line.length() - 1);
                    put("\b \b");
                }
            }
            case 3 -> { // Ctrl-C
                line.setLength(0);
                put("^C" + END + PROMPT);
            }
            default -> {
                if (key >= ' ' && key < 0x7F && line.length() < LONGEST_LINE) {
                    line.append((char) key);
                    put(String.valueOf((char) key));
                }
            }
        }
    }

    private void run(String word) {
        if (word.isEmpty()) {
            return;
        }
        Entry command = commands.get(word);
        if (command == null) {
            put(word + ": no such command; help lists them" + END);
            return;
        }
        try {
            command.action().run(text -> put(text + END));
        } catch (Exception e) {
            put(word + ": " + e + END);
        }
    }

    private void help(Consumer<String> print) {
        commands.forEach(
                (word, entry) -> print.accept(String.format("%-10s %s", word, entry.help())));
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("console: {}", e.getMessage());
        }
    }
}
