package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class IoUringTest {
    private record Completion(long token, int result) {}

    private final MemorySegment memory = Arena.ofAuto().allocate(16 * 4096, 4096);
    private final List<Completion> completed = new ArrayList<>();
    private IoUring ring;

    @TempDir Path folder;

    @BeforeEach
    void openRing() throws Exception {
        try {
            ring = IoUring.open(8);
        } catch (LinuxException e) {
            boolean refused = e.errno() == Errno.EPERM || e.errno() == Errno.ENOSYS;
            assumeTrue(!refused, "this kernel lets nobody use io_uring: " + e.getMessage());
            throw e;
        }
    }

    @AfterEach
    void closeRing() {
        if (ring != null) {
            ring.close();
        }
    }

    private void await(int count) throws LinuxException {
        while (completed.size() < count) {
            ring.submit(true);
            ring.drain((token, result) -> completed.add(new Completion(token, result)));
        }
    }

    private static IoVector vector(MemorySegment memory, long... offsetsAndSizes) {
        IoVector vector = new IoVector(8);
        for (int i = 0; i < offsetsAndSizes.length; i += 2) {
            vector.add(memory, offsetsAndSizes[i], offsetsAndSizes[i + 1]);
        }
        return vector;
    }

    @Test
    void scatteredPiecesAreWrittenAndReadBack() throws Exception {
        Path path = folder.resolve("disk");
        for (int page = 0; page < 16; page++) {
            memory.asSlice(page * 4096L, 4096).fill((byte) page);
        }
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.CREATE)) {
            ring.write(file, vector(memory, 5 * 4096, 4096, 2 * 4096, 512), 512, 77);
            await(1);
            assertEquals(List.of(new Completion(77, 4608)), completed);
            byte[] bytes = Files.readAllBytes(path);
            assertEquals(512 + 4608, bytes.length);
            assertEquals(0, bytes[511]);
            assertEquals(5, bytes[512 + 4095]);
            assertEquals(2, bytes[512 + 4096]);

            ring.read(file, vector(memory, 8 * 4096, 4096, 11 * 4096, 4096), 512, 1L << 40);
            await(2);
            assertEquals(new Completion(1L << 40, 4608), completed.get(1), "the file ends there");
            assertEquals(5, memory.get(Native.BYTE, 8 * 4096 + 4095));
            assertEquals(2, memory.get(Native.BYTE, 11 * 4096 + 511));
            assertEquals(11, memory.get(Native.BYTE, 11 * 4096 + 512));
        }
    }

    @Test
    void errorsAreTheKernels() throws Exception {
        Path path = Files.write(folder.resolve("disk"), new byte[4096]);
        try (VectoredFile file = VectoredFile.open(path)) {
            ring.write(file, vector(memory, 0, 512), 0, 1);
            await(1);
            assertEquals(-Errno.EBADF, completed.getFirst().result(), "open for reading alone");
            ring.read(file, vector(memory, 0, 512), 4096, 2);
            await(2);
            assertEquals(0, completed.get(1).result(), "behind the end");
        }
        LinuxException tooMany = assertThrows(LinuxException.class, () -> IoUring.open(1 << 20));
        assertEquals(Errno.EINVAL, tooMany.errno());
    }

    @Test
    void itHoldsSoManyAndNoMore() throws Exception {
        Path path = Files.write(folder.resolve("disk"), new byte[16 * 4096]);
        try (VectoredFile file = VectoredFile.open(path)) {
            for (int round = 0; round < 1000; round++) { // round and round the rings
                int before = completed.size();
                for (int i = 0; i < ring.capacity(); i++) {
                    ring.read(file, vector(memory, i * 4096L, 4096), i * 4096L, i);
                }
                assertThrows(
                        IllegalStateException.class,
                        () -> ring.read(file, vector(memory, 0, 512), 0, 99));
                await(before + ring.capacity());
            }
        }
        assertEquals(8000, completed.size());
        assertTrue(completed.stream().allMatch(c -> c.result() == 4096));
        assertEquals(1000, completed.stream().filter(c -> c.token() == 7).count());
    }

    @Test
    void aSignalFromAnotherThreadEndsTheWait() throws Exception {
        try (EventFd signals = EventFd.create()) {
            ring.watch(signals, 5);
            ring.submit(false);
            for (int i = 1; i <= 100; i++) {
                Thread other = Thread.ofPlatform().start(signals::signal);
                await(i);
                other.join();
            }
            assertTrue(completed.stream().allMatch(c -> c.token() == 5 && c.result() == 1));
        }
    }
}
