package org.splitring.benchmarks;

import java.io.IOException;
import java.io.RandomAccessFile;
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
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.splitring.wire.XenstoreRingLayout;
import org.splitring.wire.XsdSockmsgLayout;

/// Debian's xenstored, without Xen: a preloaded library (`fakexen.c`, of the testkit) stands in for
/// the hypervisor. Guests are on their pages, which are files.
final class CStore implements StoreDaemon {
    private static final Path PROGRAM = Path.of("/usr/lib/xen-4.17/bin/xenstored");
    private static final int PAGE_BYTES = 4096;
    private static final int FIRST_PORT = 100; // of fakexen.c
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);
    private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

    private final Path folder;
    private final Process process;
    private final FileChannel events;

    /// Why it cannot run here; empty when it can.
    static Optional<String> whatIsMissing() {
        if (!Files.isExecutable(PROGRAM)) {
            return Optional.of("no " + PROGRAM + " (Debian: xen-utils-4.17)");
        }
        return CProgram.whatIsMissing();
    }

    /// @param folder for its files; empty
    /// @param library compiled `fakexen.c`
    CStore(Path folder, Path library) throws IOException {
        this.folder = folder;
        Files.writeString(folder.resolve("port"), "1\n");
        makePage(0);
        ProcessBuilder builder =
                new ProcessBuilder(
                                PROGRAM.toString(),
                                "--no-fork",
                                "--pid-file",
                                folder.resolve("pid").toString())
                        .redirectErrorStream(true)
                        .redirectOutput(folder.resolve("log").toFile());
        builder.environment().put("LD_PRELOAD", library.toString());
        builder.environment().put("FAKEXEN_DIR", folder.toString());
        builder.environment().put("XENSTORED_RUNDIR", folder.toString());
        builder.environment().put("XENSTORED_PATH", socket().toString());
        process = builder.start();
        try {
            events = awaitStart();
        } catch (IOException e) {
            process.destroyForcibly();
            throw e;
        }
    }

    /// Waits until it answers and has opened its event channels.
    private FileChannel awaitStart() throws IOException {
        long start = System.nanoTime();
        while (true) {
            try {
                StoreClient.connect(socket()).close();
                return FileChannel.open(folder.resolve("events"), StandardOpenOption.WRITE);
            } catch (IOException e) {
                if (!process.isAlive() || System.nanoTime() - start > PATIENCE_NANOS) {
                    throw new IOException(
                            "xenstored did not start: " + Files.readString(folder.resolve("log")),
                            e);
                }
                LockSupport.parkNanos(5_000_000);
            }
        }
    }

    private void makePage(int domain) throws IOException {
        Files.write(page(domain), new byte[PAGE_BYTES]);
    }

    private Path page(int domain) {
        return folder.resolve("ring." + domain);
    }

    @Override
    public Process process() {
        return process;
    }

    @Override
    public Path socket() {
        return folder.resolve("socket");
    }

    @Override
    public void introduce(StoreClient control, int guest) throws IOException {
        makePage(guest);
        StoreDaemon.super.introduce(control, guest);
    }

    @Override
    public void connectGuests(int first, int last) throws IOException {
        for (int guest = first; guest <= last; guest++) {
            watch(guest);
        }
    }

    /// Lets a guest set its watches, and takes the answers and the first events.
    private void watch(int guest) throws IOException {
        ByteBuffer requests =
                ByteBuffer.allocate(XenstoreRingLayout.RING_SIZE_BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN);
        int answers = 0;
        for (String node : StorePlace.WATCHED_BY_GUEST) {
            byte[] payload = StoreClient.strings(node, "token");
            requests.putInt(XsdSockmsgLayout.WATCH).putInt(1).putInt(0).putInt(payload.length);
            requests.put(payload);
            answers += 2 * XsdSockmsgLayout.SIZE_BYTES + "OK\0".length() + payload.length;
        }
        try (Arena arena = Arena.ofConfined();
                RandomAccessFile file = new RandomAccessFile(page(guest).toFile(), "rw")) {
            MemorySegment page =
                    file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, PAGE_BYTES, arena);
            requests.flip();
            page.asSlice(XenstoreRingLayout.REQ).copyFrom(MemorySegment.ofBuffer(requests));
            WORD.setRelease(page, XenstoreRingLayout.REQ_PROD, requests.limit());
            kick(guest);
            long start = System.nanoTime();
            while ((int) WORD.getAcquire(page, XenstoreRingLayout.RSP_PROD) != answers) {
                if (!process.isAlive() || System.nanoTime() - start > PATIENCE_NANOS) {
                    throw new IOException("xenstored does not serve guest " + guest);
                }
                LockSupport.parkNanos(20_000);
            }
            WORD.setRelease(page, XenstoreRingLayout.RSP_CONS, answers);
            kick(guest);
        }
    }

    private void kick(int guest) throws IOException {
        ByteBuffer port = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
        events.write(port.putInt(FIRST_PORT + guest).flip());
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        process.onExit().join();
        events.close();
    }
}
