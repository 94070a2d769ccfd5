package org.splitring.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.jctools.queues.SpscArrayQueue;
import org.splitring.hypervisor.linux.Affinity;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Packet;
import org.splitring.hypervisor.linux.UnixSocket;

/// One Java contender of `bench ring`, in a JVM of its own: what other contenders taught the JIT
/// does not reach it, and it can be started anew for every round.
///
///     RingWorker SUBJECT threads|processes 112|12 SECONDS TEST...
///
/// Takes the same tests and prints the same lines as `ringbench.c`. With `processes` it starts
/// itself again as the answering end (`SUBJECT back ENTRY FOLDER`), which maps the same file and
/// gets the two eventfds through a Unix socket.
public final class RingWorker {
    private static final int MEMORY_BYTES = Control.SIZE_BYTES + AgronaRings.SIZE_BYTES;
    private static final int RING_BYTES = 4096;
    private static final int CONNECT_MILLIS = 30_000;

    /// Names the variable that says where the ends run: two processors, the requesting end first.
    static final String CPUS = "RINGBENCH_CPUS";

    private static final int FRONT = 0;
    private static final int BACK = 1;

    private RingWorker() {}

    /// Runs the contender that the arguments name.
    public static void main(String[] args) throws Exception {
        JavaProgram.endWithParent();
        String subject = args[0];
        int entrySizeBytes = Integer.parseInt(args[2]);
        if (args[1].equals("back")) {
            back(subject, entrySizeBytes, Path.of(args[3]));
            return;
        }
        long nanos = (long) (Double.parseDouble(args[3]) * 1e9);
        List<String> tests = List.of(args).subList(4, args.length);
        if (args[1].equals("processes")) {
            processes(subject, entrySizeBytes, nanos, tests);
        } else {
            threads(subject, entrySizeBytes, nanos, tests);
        }
    }

    private static void threads(String subject, int entrySizeBytes, long nanos, List<String> tests)
            throws Exception {
        MemorySegment memory = Arena.global().allocate(MEMORY_BYTES, RING_BYTES);
        try (Doorbell toFront = Doorbell.create();
                Doorbell toBack = Doorbell.create()) {
            Control control = new Control(memory.asSlice(0, Control.SIZE_BYTES));
            RingFront front;
            Supplier<RingBack> back;
            if (subject.equals("jctools")) {
                int capacity = entrySizeBytes == BlkifWork.ENTRY_SIZE ? 32 : 256;
                var requests = new SpscArrayQueue<QueuedRequest>(capacity);
                var responses = new SpscArrayQueue<QueuedResponse>(capacity);
                front = new JctoolsFront(requests, responses, entrySizeBytes);
                back = () -> new JctoolsBack(requests, responses, entrySizeBytes);
            } else {
                front = frontIn(memory, subject, entrySizeBytes);
                back = () -> backIn(memory, subject, entrySizeBytes);
            }
            // Each end is made by its own thread, as drivers are: objects of two threads that lie
            // side by side would share cache lines.
            Thread backThread =
                    Thread.ofPlatform()
                            .name("back")
                            .start(
                                    () -> {
                                        pin(BACK);
                                        new BackLoop(back.get(), control, toFront, toBack).run();
                                    });
            pin(FRONT);
            FrontLoop loop = new FrontLoop(front, control, toFront, toBack);
            loop.run(tests, nanos);
            loop.quit();
            backThread.join();
        }
    }

    private static void processes(
            String subject, int entrySizeBytes, long nanos, List<String> tests) throws Exception {
        Path shm = Path.of("/dev/shm");
        Path folder =
                Files.isWritable(shm)
                        ? Files.createTempDirectory(shm, "splitring-bench")
                        : Files.createTempDirectory("splitring-bench");
        Path file = folder.resolve("memory");
        Path socketPath = folder.resolve("socket");
        try (Doorbell toFront = Doorbell.create();
                Doorbell toBack = Doorbell.create();
                UnixSocket listener = UnixSocket.listen(socketPath, 1)) {
            Files.write(file, new byte[MEMORY_BYTES]);
            MemorySegment memory = map(file);
            RingFront front = frontIn(memory, subject, entrySizeBytes);
            Process child = startBack(subject, entrySizeBytes, folder);
            try {
                passDoorbells(listener, toFront, toBack);
                pin(FRONT);
                Control control = new Control(memory.asSlice(0, Control.SIZE_BYTES));
                FrontLoop loop = new FrontLoop(front, control, toFront, toBack);
                loop.run(tests, nanos);
                loop.quit();
                int status = child.waitFor();
                if (status != 0) {
                    throw new IllegalStateException("the answering end ended with " + status);
                }
            } finally {
                child.destroyForcibly();
            }
        } finally {
            Files.deleteIfExists(file);
            Files.deleteIfExists(socketPath);
            Files.delete(folder);
        }
    }

    /// The answering end of [#processes].
    private static void back(String subject, int entrySizeBytes, Path folder) throws Exception {
        try (UnixSocket socket = UnixSocket.connect(folder.resolve("socket"))) {
            Packet packet = new Packet(16);
            if (!socket.awaitReadable(CONNECT_MILLIS) || socket.receive(packet) <= 0) {
                throw new IOException("no doorbells from the requesting end");
            }
            try (Doorbell toFront = Doorbell.adopt(packet.takeDescriptor());
                    Doorbell toBack = Doorbell.adopt(packet.takeDescriptor())) {
                MemorySegment memory = map(folder.resolve("memory"));
                pin(BACK);
                RingBack back = backIn(memory, subject, entrySizeBytes);
                Control control = new Control(memory.asSlice(0, Control.SIZE_BYTES));
                new BackLoop(back, control, toFront, toBack).run();
            }
        }
    }

    /// Keeps the calling thread where [#CPUS] wants this end. The JVM's other threads stay free.
    private static void pin(int end) {
        String cpus = System.getenv(CPUS);
        if (cpus != null) {
            try {
                Affinity.pin(Integer.parseInt(cpus.split(" ", -1)[end]));
            } catch (LinuxException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static void passDoorbells(UnixSocket listener, Doorbell toFront, Doorbell toBack)
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

    /// Command line of a contender, up to the placement.
    static List<String> command(String subject) {
        List<String> command =
                JavaProgram.command(
                        RingWorker.class,
                        "-XX:+UseSerialGC", // as the program
                        // Agrona and JCTools reach the JDK's Unsafe.
                        "--sun-misc-unsafe-memory-access=allow",
                        "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED");
        command.add(subject);
        return command;
    }

    private static Process startBack(String subject, int entrySizeBytes, Path folder)
            throws IOException {
        List<String> command = command(subject);
        command.addAll(List.of("back", Integer.toString(entrySizeBytes), folder.toString()));
        return new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static RingFront frontIn(MemorySegment memory, String subject, int entrySizeBytes) {
        return switch (subject) {
            case "splitring" ->
                    new SplitringFront(
                            memory.asSlice(Control.SIZE_BYTES, RING_BYTES),
                            EntryWork.of(entrySizeBytes));
            case "agrona" -> new AgronaFront(agrona(memory, entrySizeBytes));
            default -> throw new IllegalArgumentException("subject " + subject);
        };
    }

    private static RingBack backIn(MemorySegment memory, String subject, int entrySizeBytes) {
        return switch (subject) {
            case "splitring" ->
                    new SplitringBack(
                            memory.asSlice(Control.SIZE_BYTES, RING_BYTES),
                            EntryWork.of(entrySizeBytes));
            case "agrona" -> new AgronaBack(agrona(memory, entrySizeBytes));
            default -> throw new IllegalArgumentException("subject " + subject);
        };
    }

    private static AgronaRings agrona(MemorySegment memory, int entrySizeBytes) {
        return AgronaRings.in(
                memory.asSlice(Control.SIZE_BYTES, AgronaRings.SIZE_BYTES), entrySizeBytes);
    }

    private static MemorySegment map(Path file) throws IOException {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, MEMORY_BYTES, Arena.global());
        }
    }
}
