package org.splitring.testkit;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.splitring.wire.XsdSockmsgLayout;

/// Xen's own xenstored as Debian builds it, running without Xen: a preload library
/// (`fakexen.c`) stands in for the hypervisor. Domain 0 connects to [#socket]; any other domain
/// talks over a page in a file, as a guest does.
public final class CXenstored implements AutoCloseable {
    /// Where Debian has the daemon.
    public static final String PROGRAM = "/usr/lib/xen-4.17/bin/xenstored";

    private static final int PAGE_BYTES = 4096;
    private static final int FIRST_PORT = 100;
    private static final long START_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final Path folder;
    private final Process process;
    private final FileChannel events;

    private CXenstored(Path folder, Process process, FileChannel events) {
        this.folder = folder;
        this.process = process;
        this.events = events;
    }

    /// Starts it, and returns when it answers.
    ///
    /// @param folder for its files; empty
    /// @param clockSpeed by how much its clock runs faster: as a guest may make only 200 changes in
    ///     a second of it
    public static CXenstored start(Path folder, int clockSpeed, String... options)
            throws IOException, InterruptedException {
        ExternalTools.requireFile(PROGRAM, "xen-utils-4.17");
        Path library = CPrograms.fakeXen();
        Files.writeString(folder.resolve("port"), "1\n");
        makePage(folder, 0);
        Path log = folder.resolve("log");
        List<String> command = new ArrayList<>(List.of(PROGRAM, "--no-fork"));
        command.addAll(List.of("--pid-file", folder.resolve("pid").toString()));
        command.addAll(List.of(options));
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().put("LD_PRELOAD", library.toString());
        builder.environment().put("FAKEXEN_DIR", folder.toString());
        builder.environment().put("FAKEXEN_SPEED", Integer.toString(clockSpeed));
        builder.environment().put("XENSTORED_RUNDIR", folder.toString());
        builder.environment().put("XENSTORED_PATH", folder.resolve("socket").toString());
        Process process = builder.start();
        try {
            Path ports = folder.resolve("events");
            awaitSocket(folder.resolve("socket"), ports, process, log);
            FileChannel events = FileChannel.open(ports, StandardOpenOption.WRITE);
            return new CXenstored(folder, process, events);
        } catch (IOException | InterruptedException | RuntimeException e) {
            process.destroyForcibly();
            throw e;
        }
    }

    /// It listens before it has its event channels.
    private static void awaitSocket(Path socket, Path ports, Process process, Path log)
            throws IOException, InterruptedException {
        long start = System.nanoTime();
        while (true) {
            try {
                RawStoreClient.socket(socket).close();
                if (Files.exists(ports)) {
                    return;
                }
                throw new IOException("no event channels yet");
            } catch (IOException e) {
                if (!process.isAlive() || System.nanoTime() - start > START_NANOS) {
                    throw new IOException("xenstored did not start: " + Files.readString(log), e);
                }
            }
            process.waitFor(5, TimeUnit.MILLISECONDS);
        }
    }

    private static void makePage(Path folder, int domain) throws IOException {
        Files.write(folder.resolve("ring." + domain), new byte[PAGE_BYTES]);
    }

    /// The socket of domain 0.
    public Path socket() {
        return folder.resolve("socket");
    }

    public long pid() {
        return process.pid();
    }

    /// Makes a page for a domain, so that it exists; it can then be introduced.
    public void create(int domain) throws IOException {
        makePage(folder, domain);
    }

    /// The page of an introduced domain.
    public PageCarrier page(int domain) throws IOException {
        Arena arena = Arena.ofShared();
        try (FileChannel file =
                FileChannel.open(
                        folder.resolve("ring." + domain),
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            MemorySegment page = file.map(FileChannel.MapMode.READ_WRITE, 0, PAGE_BYTES, arena);
            return new PageCarrier(page, new Port(FIRST_PORT + domain, arena));
        }
    }

    /// A connection over the page of an introduced domain.
    public RawStoreClient guest(int domain) throws IOException {
        return new RawStoreClient(page(domain));
    }

    /// The daemon as a guest sees it that has a page in `arena`.
    private final class Port implements PageCarrier.Daemon {
        private final int port;
        private final Arena arena;

        Port(int port, Arena arena) {
            this.port = port;
            this.arena = arena;
        }

        @Override
        public void kick() throws IOException {
            events.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(port).flip());
        }

        @Override
        public boolean isAlive() {
            return process.isAlive();
        }

        @Override
        public void close() {
            arena.close();
        }
    }

    /// Introduces a domain, which gets a page, and connects as it.
    ///
    /// @param control a connection of domain 0
    public RawStoreClient introduce(RawStoreClient control, int domain) throws IOException {
        create(domain);
        RawStoreClient.Message answer =
                control.call(XsdSockmsgLayout.INTRODUCE, 0, domain + "\0" + "1\0" + "1\0");
        if (answer.isError()) {
            throw new IOException("introduce " + domain + ": " + answer.text());
        }
        return new RawStoreClient(page(domain));
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        process.onExit().join();
        events.close();
    }
}
