package org.splitring.testkit;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
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
            awaitSocket(folder.resolve("socket"), process, log);
            FileChannel events =
                    FileChannel.open(folder.resolve("events"), StandardOpenOption.WRITE);
            return new CXenstored(folder, process, events);
        } catch (IOException | InterruptedException | RuntimeException e) {
            process.destroyForcibly();
            throw e;
        }
    }

    private static void awaitSocket(Path socket, Process process, Path log)
            throws IOException, InterruptedException {
        long start = System.nanoTime();
        while (true) {
            try {
                RawStoreClient.socket(socket).close();
                return;
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

    /// A connection over the page of an introduced domain.
    public RawStoreClient guest(int domain) throws IOException {
        return new RawStoreClient(new Page(domain));
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        process.onExit().join();
        events.close();
    }

    /// The guest's end of a page with two byte rings: `xs_wire.h`,
    /// `struct xenstore_domain_interface`.
    private final class Page implements RawStoreClient.Carrier {
        private static final int RING_BYTES = 1024;
        private static final long ANSWERS = 1024; // requests are at 0
        private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
        private static final long REQ_CONS = 2048;
        private static final long REQ_PROD = 2052;
        private static final long RSP_CONS = 2056;
        private static final long RSP_PROD = 2060;
        private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);

        private final Arena arena = Arena.ofShared();
        private final MemorySegment page;
        private final int port;

        Page(int domain) throws IOException {
            port = FIRST_PORT + domain;
            try (FileChannel file =
                    FileChannel.open(
                            folder.resolve("ring." + domain),
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE)) {
                page = file.map(FileChannel.MapMode.READ_WRITE, 0, PAGE_BYTES, arena);
            }
        }

        @Override
        public void send(ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                int prod = (int) INT.get(page, REQ_PROD);
                awaitOther(REQ_CONS, prod - RING_BYTES);
                int room = RING_BYTES - (prod - (int) INT.getAcquire(page, REQ_CONS));
                for (; room > 0 && bytes.hasRemaining(); room--) {
                    page.set(ValueLayout.JAVA_BYTE, prod++ & (RING_BYTES - 1), bytes.get());
                }
                INT.setRelease(page, REQ_PROD, prod);
                kick();
            }
        }

        @Override
        public void receive(ByteBuffer into) throws IOException {
            while (into.hasRemaining()) {
                int cons = (int) INT.get(page, RSP_CONS);
                awaitOther(RSP_PROD, cons);
                int ready = (int) INT.getAcquire(page, RSP_PROD) - cons;
                for (; ready > 0 && into.hasRemaining(); ready--) {
                    long at = ANSWERS + (cons++ & (RING_BYTES - 1));
                    into.put(page.get(ValueLayout.JAVA_BYTE, at));
                }
                INT.setRelease(page, RSP_CONS, cons);
                kick();
            }
        }

        private void awaitOther(long index, int not) throws IOException {
            long start = System.nanoTime();
            while ((int) INT.getAcquire(page, index) == not) {
                if (!process.isAlive() || System.nanoTime() - start > PATIENCE_NANOS) {
                    throw new IOException("xenstored does not serve port " + port);
                }
                LockSupport.parkNanos(10_000);
            }
        }

        private void kick() throws IOException {
            events.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(port).flip());
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
        return guest(domain);
    }
}
