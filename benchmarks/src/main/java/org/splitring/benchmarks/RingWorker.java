package org.splitring.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
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
    private static final int PAGE_BYTES = 4096;
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
        MemorySegment memory = Arena.global().allocate(RingPair.MEMORY_BYTES, PAGE_BYTES);
        if (subject.equals("jctools")) {
            int capacity = entrySizeBytes == BlkifWork.ENTRY_SIZE ? 32 : 256;
            var requests = new SpscArrayQueue<QueuedRequest>(capacity);
            var responses = new SpscArrayQueue<QueuedResponse>(capacity);
            run(
                    RingPair.threads(
                            new JctoolsFront(requests, responses, entrySizeBytes),
                            () -> {
                                pin(BACK);
                                return new JctoolsBack(requests, responses, entrySizeBytes);
                            },
                            memory),
                    tests,
                    nanos);
        } else {
            run(
                    RingPair.threads(
                            frontIn(memory, subject, entrySizeBytes),
                            () -> {
                                pin(BACK);
                                return backIn(memory, subject, entrySizeBytes);
                            },
                            memory),
                    tests,
                    nanos);
        }
    }

    private static void processes(
            String subject, int entrySizeBytes, long nanos, List<String> tests) throws Exception {
        run(
                RingPair.processes(
                        memory -> frontIn(memory, subject, entrySizeBytes),
                        command(subject),
                        entrySizeBytes),
                tests,
                nanos);
    }

    private static void run(RingPair pair, List<String> tests, long nanos) throws IOException {
        try (pair) {
            pin(FRONT);
            new FrontLoop(pair.front(), pair.control(), pair.toFront(), pair.toBack())
                    .run(tests, nanos);
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
                MemorySegment memory = RingPair.map(folder.resolve("memory"));
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

    private static RingFront frontIn(MemorySegment memory, String subject, int entrySizeBytes) {
        return switch (subject) {
            case "splitring" ->
                    new SplitringFront(RingPair.ring(memory), EntryWork.of(entrySizeBytes));
            case "agrona" -> new AgronaFront(agrona(memory, entrySizeBytes));
            default -> throw new IllegalArgumentException("subject " + subject);
        };
    }

    private static RingBack backIn(MemorySegment memory, String subject, int entrySizeBytes) {
        return switch (subject) {
            case "splitring" ->
                    new SplitringBack(RingPair.ring(memory), EntryWork.of(entrySizeBytes));
            case "agrona" -> new AgronaBack(agrona(memory, entrySizeBytes));
            default -> throw new IllegalArgumentException("subject " + subject);
        };
    }

    private static AgronaRings agrona(MemorySegment memory, int entrySizeBytes) {
        return AgronaRings.in(
                memory.asSlice(Control.SIZE_BYTES, AgronaRings.SIZE_BYTES), entrySizeBytes);
    }
}
