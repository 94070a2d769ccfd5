package org.splitring.benchmarks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.splitring.hypervisor.linux.UnixSocket;

/// A requesting end, and an answering end in another thread or process that obeys a [Control]
/// page ([BackLoop]). The answering end is told to quit when this is closed.
public final class RingPair implements AutoCloseable {
    static final int MEMORY_BYTES = Control.SIZE_BYTES + AgronaRings.SIZE_BYTES;
    private static final int RING_BYTES = 4096;
    private static final int CONNECT_MILLIS = 30_000;

    private final RingFront front;
    private final Control control;
    private final Doorbell toFront;
    private final Doorbell toBack;
    private final Answering answering;

    /// Who runs the answering end.
    private interface Answering {
        boolean isAlive();

        /// Waits until it has ended, and takes away what was made for it.
        void end() throws IOException, InterruptedException;
    }

    private RingPair(
            RingFront front,
            Control control,
            Doorbell toFront,
            Doorbell toBack,
            Answering answering) {
        this.front = front;
        this.control = control;
        this.toFront = toFront;
        this.toBack = toBack;
        this.answering = answering;
    }

    /// Our own ring, the answering end in a thread of this process.
    ///
    /// @param entrySizeBytes 112 (blkif) or 12 (netif)
    public static RingPair threads(int entrySizeBytes) throws IOException {
        MemorySegment memory = Arena.global().allocate(MEMORY_BYTES, RING_BYTES);
        EntryWork work = EntryWork.of(entrySizeBytes);
        return threads(
                new SplitringFront(ring(memory), work),
                () -> new SplitringBack(ring(memory), work),
                memory);
    }

    /// Our own ring, the answering end in a process of its own.
    ///
    /// @param entrySizeBytes 112 (blkif) or 12 (netif)
    public static RingPair processes(int entrySizeBytes) throws IOException {
        return processes(
                memory -> new SplitringFront(ring(memory), EntryWork.of(entrySizeBytes)),
                RingWorker.command("splitring"),
                entrySizeBytes);
    }

    static MemorySegment ring(MemorySegment memory) {
        return memory.asSlice(Control.SIZE_BYTES, RING_BYTES);
    }

    /// @param back makes the answering end on its own thread, as drivers are made: objects of two
    ///     threads that lie side by side would share cache lines
    static RingPair threads(RingFront front, Supplier<RingBack> back, MemorySegment memory)
            throws IOException {
        Control control = new Control(memory.asSlice(0, Control.SIZE_BYTES));
        Doorbell toFront = Doorbell.create();
        Doorbell toBack = Doorbell.create();
        Thread thread =
                Thread.ofPlatform()
                        .name("back")
                        .daemon()
                        .start(() -> new BackLoop(back.get(), control, toFront, toBack).run());
        return new RingPair(
                front,
                control,
                toFront,
                toBack,
                new Answering() {
                    @Override
                    public boolean isAlive() {
                        return thread.isAlive();
                    }

                    @Override
                    public void end() throws InterruptedException {
                        thread.join();
                    }
                });
    }

    /// Makes the requesting end in memory that a process will map.
    @FunctionalInterface
    interface FrontMaker {
        RingFront in(MemorySegment memory);
    }

    /// @param program a [RingWorker] with its subject: it is started as the answering end
    static RingPair processes(FrontMaker front, List<String> program, int entrySizeBytes)
            throws IOException {
        Path shm = Path.of("/dev/shm");
        Path folder =
                Files.isWritable(shm)
                        ? Files.createTempDirectory(shm, "splitring-bench")
                        : Files.createTempDirectory("splitring-bench");
        Doorbell toFront = Doorbell.create();
        Doorbell toBack = Doorbell.create();
        boolean passed = false;
        try (UnixSocket listener = UnixSocket.listen(folder.resolve("socket"), 1)) {
            Path file = folder.resolve("memory");
            Files.write(file, new byte[MEMORY_BYTES]);
            MemorySegment memory = map(file);
            RingFront made = front.in(memory);
            Process child = start(program, entrySizeBytes, folder);
            try {
                pass(listener, toFront, toBack);
                passed = true;
            } finally {
                if (!passed) {
                    child.destroyForcibly();
                }
            }
            Control control = new Control(memory.asSlice(0, Control.SIZE_BYTES));
            return new RingPair(made, control, toFront, toBack, new Child(child, folder));
        } finally {
            if (!passed) {
                remove(folder);
            }
        }
    }

    private record Child(Process process, Path folder) implements Answering {
        @Override
        public boolean isAlive() {
            return process.isAlive();
        }

        @Override
        public void end() throws IOException, InterruptedException {
            try {
                int status = process.waitFor();
                if (status != 0) {
                    throw new IOException("the answering end ended with status " + status);
                }
            } finally {
                process.destroyForcibly();
                remove(folder);
            }
        }
    }

    private static void remove(Path folder) throws IOException {
        Files.deleteIfExists(folder.resolve("memory"));
        Files.deleteIfExists(folder.resolve("socket"));
        Files.delete(folder);
    }

    private static Process start(List<String> program, int entrySizeBytes, Path folder)
            throws IOException {
        List<String> command = new ArrayList<>(program);
        command.addAll(List.of("back", Integer.toString(entrySizeBytes), folder.toString()));
        return new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static void pass(UnixSocket listener, Doorbell toFront, Doorbell toBack)
            throws IOException {
        if (!listener.awaitReadable(CONNECT_MILLIS)) {
            throw new IOException("the answering end does not connect");
        }
        try (UnixSocket socket = Objects.requireNonNull(listener.accept())) {
            MemorySegment message = Arena.global().allocate(1);
            long sent = socket.send(message, 1, toFront.fd(), toBack.fd());
            if (sent != 1) {
                throw new IOException("sending the doorbells: " + sent);
            }
        }
    }

    static MemorySegment map(Path file) throws IOException {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, MEMORY_BYTES, Arena.global());
        }
    }

    RingFront front() {
        return front;
    }

    Control control() {
        return control;
    }

    Doorbell toFront() {
        return toFront;
    }

    Doorbell toBack() {
        return toBack;
    }

    /// Requests under way at most.
    public int capacity() {
        return front.capacity();
    }

    /// The answering end sleeps from now on when there is nothing to answer.
    public void answerSleeping() {
        control.tell(Control.BLOCKING, toBack);
    }

    /// The answering end spins from now on.
    ///
    /// @param batch requests answered at a time, at most
    public void answerSpinning(int batch) {
        control.tell(batch, toBack);
    }

    /// The answering end rests from now on. Everything is answered.
    public void rest() {
        control.tell(Control.IDLE, toBack);
    }

    /// Sends that many requests, and wakes the answering end if it wants waking.
    public void send(int count) {
        if (front.send(count)) {
            toBack.ring();
        }
    }

    /// Takes the answers that are there, and checks them.
    ///
    /// @throws IllegalStateException when one is not the answer to its request
    public int receive() {
        return front.receive();
    }

    /// Sleeps until there is an answer.
    public void awaitAnswer() {
        if (!front.finalCheck()) {
            toFront.await();
        }
    }

    /// Whether the answering end is still there.
    public boolean isAlive() {
        return answering.isAlive();
    }

    /// Has the answering end quit, and waits for that.
    @Override
    public void close() throws IOException {
        if (answering.isAlive()) {
            control.tell(Control.QUIT, toBack);
        }
        try {
            answering.end();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while the answering end quit", e);
        }
        toFront.close();
        toBack.close();
    }
}
