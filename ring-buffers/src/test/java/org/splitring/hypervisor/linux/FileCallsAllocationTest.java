package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A read or write makes no object: not even one that the compiler mostly finds out to be of no
/// use. So it is measured in a machine whose compiler does not look for such. A few objects of the
/// machine itself may come between.
@Timeout(60)
class FileCallsAllocationTest {
    private static final int CALLS = 20_000;

    /// On a busy machine the compiler may be late: the least of these counts.
    private static final int WINDOWS = 5;
    private static final List<OpenFlag> DSYNC = List.of(OpenFlag.READ_WRITE, OpenFlag.DSYNC);

    @TempDir Path folder;

    /// What the other machine runs: prints how many bytes were allocated.
    public static final class Transfers {
        private Transfers() {}

        public static void main(String[] arguments) throws Exception {
            var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
            Path path = Path.of(arguments[0]);
            OpenFlag[] flags =
                    Stream.of(arguments).skip(1).map(OpenFlag::valueOf).toArray(OpenFlag[]::new);
            try (VectoredFile file = VectoredFile.open(path, flags);
                    Arena arena = Arena.ofConfined()) {
                MemorySegment memory = arena.allocate(4096, 4096);
                IoVector vector = new IoVector(1);
                long least = Long.MAX_VALUE;
                for (int window = 0; window < WINDOWS; window++) {
                    long before = threads.getCurrentThreadAllocatedBytes();
                    transfer(file, memory, vector);
                    least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
                }
                System.out.println(least);
            }
        }

        private static void transfer(VectoredFile file, MemorySegment memory, IoVector vector)
                throws LinuxException {
            for (int i = 0; i < CALLS; i++) {
                vector.clear();
                vector.add(memory, 0, 4096);
                if ((i & 1) == 0) {
                    file.write(vector, 0);
                } else {
                    file.read(vector, 0);
                }
            }
        }
    }

    @Test
    void transfersAllocateNothingWhateverTheCompilerDoes() throws Exception {
        allocateNothing(folder, OpenFlag.READ_WRITE, OpenFlag.CREATE);
    }

    @Test
    void synchronousTransfersAllocateNothingEither() throws Exception {
        Path memory = Path.of("/dev/shm"); // where storage takes no time
        Assumptions.assumeTrue(Files.isWritable(memory), "needs /dev/shm");
        Path place = Files.createTempDirectory(memory, "splitring");
        try {
            allocateNothing(place, OpenFlag.READ_WRITE, OpenFlag.CREATE, OpenFlag.DSYNC);
        } finally {
            Files.deleteIfExists(place.resolve("file"));
            Files.delete(place);
        }
    }

    @Test
    void transfersPastThePageCacheAllocateNothingEither() throws Exception {
        Files.write(folder.resolve("file"), new byte[4096]);
        OpenFlag[] flags = {OpenFlag.READ_WRITE, OpenFlag.DIRECT};
        try (VectoredFile file = VectoredFile.open(folder.resolve("file"), flags)) {
            assertTrue(file.isPlain());
        } catch (LinuxException e) {
            Assumptions.abort("the temporary folder's file system: " + e.getMessage());
        }
        allocateNothing(folder, flags);
    }

    private static void allocateNothing(Path place, OpenFlag... flags) throws Exception {
        List<String> words = new ArrayList<>();
        words.add(place.resolve("file").toString());
        Stream.of(flags).map(OpenFlag::name).forEach(words::add);
        Process process = start(words);
        String output =
                new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        assertEquals(0, process.exitValue(), output);
        long bytes = Long.parseLong(output);
        assertTrue(bytes < CALLS, bytes + " bytes for " + CALLS + " transfers");
    }

    private static Process start(List<String> words) throws IOException {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-XX:+UseSerialGC",
                                "-XX:-DoEscapeAnalysis",
                                "-cp",
                                System.getProperty("java.class.path"),
                                Transfers.class.getName()));
        command.addAll(words);
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    /// The kernel has told of it the first time, and does not a second time.
    @Test
    void aSynchronousWriteThatFailedHasFailed() {
        KernelFileCalls calls = new KernelFileCalls(true);
        assertEquals(-Errno.EIO, calls.outcome(4096, 0));
        assertEquals(-Errno.EIO, calls.outcome(0, 0));
        assertEquals(-Errno.ENOSPC, calls.outcome(-Errno.ENOSPC, 0));
        assertEquals(4096, calls.outcome(4096, VectoredFile.RWF_NOWAIT), "made once");
        assertEquals(4096, new KernelFileCalls(false).outcome(4096, 0));
    }

    /// A transfer that fails still says why, synchronous or not.
    @Test
    void aTransferThatFailsSaysWhy() throws Exception {
        Path path = Files.write(folder.resolve("file"), new byte[4096]);
        IoVector vector = new IoVector(1);
        for (List<OpenFlag> flags : List.of(List.of(OpenFlag.READ_WRITE), DSYNC)) {
            vector.clear();
            vector.add(Arena.ofAuto().allocate(4096), 0, 4096);
            try (VectoredFile file = VectoredFile.open(path, flags.toArray(OpenFlag[]::new))) {
                LinuxException e =
                        assertThrows(LinuxException.class, () -> file.write(vector, -4096));
                assertEquals(Errno.EINVAL, e.errno());
                assertEquals(
                        Errno.EINVAL,
                        assertThrows(LinuxException.class, () -> file.read(vector, -4096)).errno());
                assertEquals(4096, vector.remainingBytes());
                file.write(vector, 0);
                assertEquals(0, vector.remainingBytes());
            }
        }
    }
}
