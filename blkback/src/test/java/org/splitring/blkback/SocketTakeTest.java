package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Pipe;
import org.splitring.hypervisor.linux.SocketPipe;

/// Images that take what a stream has received; another pipe is the stream here.
@Timeout(60)
class SocketTakeTest {
    private static final int SIZE = 1 << 20;
    private static final int PAGE = 4096;

    private final byte[] sent = new byte[48 << 10];
    private final List<Path> files = new ArrayList<>();
    private Pipe stream;
    private SocketPipe pipe;

    @BeforeEach
    void open() throws Exception {
        new Random(20261128).nextBytes(sent);
        stream = Pipe.create();
        pipe = SocketPipe.of(stream.reader().fd());
    }

    @AfterEach
    void close() throws IOException {
        pipe.close();
        stream.reader().close();
        stream.writer().close();
        for (Path file : files) {
            Files.delete(file);
        }
    }

    private void send(int from, int to) {
        MemorySegment bytes = Arena.ofAuto().allocate(to - from);
        MemorySegment.copy(sent, from, bytes, ValueLayout.JAVA_BYTE, 0, to - from);
        assertEquals(to - from, Fd.write(stream.writer().fd(), bytes.address(), to - from));
    }

    private Path image(String folder) throws IOException {
        Path parent = Path.of(folder).toAbsolutePath();
        Assumptions.assumeTrue(Files.isWritable(parent), "needs " + folder);
        Path file = Files.createTempFile(parent, "take", ".img");
        files.add(file);
        return Files.write(file, new byte[SIZE]);
    }

    private LocalDisk<String> disk(DiskImage image) {
        return new LocalDisk<>(image, Runnable::run, new PumpedLoop(), (asker, status) -> {});
    }

    /// On a busy machine any write may have taken long, after which none is tried for a moment.
    private long takeEventually(LocalDisk<String> disk, long offset, long mostBytes) {
        long[] taken = new long[1];
        await().until(
                        () -> {
                            taken[0] = disk.take(pipe, offset, mostBytes);
                            return taken[0] != LocalDisk.NOT_TAKEN;
                        });
        return taken[0];
    }

    @ParameterizedTest
    @ValueSource(strings = {"/dev/shm", "target"})
    void wholePagesAreTakenAndTheRestIsLeft(String folder) throws Exception {
        Path file = image(folder);
        String fileSystem = Files.getFileStore(file).type();
        Assumptions.assumeTrue(
                fileSystem.startsWith("ext") || "tmpfs".equals(fileSystem),
                folder + " is on " + fileSystem + ", which is not tried");
        try (DiskImage image = DiskImage.open(file, DiskMode.WRITEBACK)) {
            LocalDisk<String> disk = disk(image);
            assertEquals(0, takeEventually(disk, 0, SIZE), "nothing has come");
            send(0, 3 * PAGE + 100);
            assertEquals(3L * PAGE, takeEventually(disk, 8192, 8L * PAGE));
            assertEquals(100, pipe.heldBytes());
            send(3 * PAGE + 100, 4 * PAGE + 10);
            assertEquals(PAGE, takeEventually(disk, 8192 + 3 * PAGE, 5L * PAGE));
            assertEquals(10, pipe.heldBytes());
            send(4 * PAGE + 10, 9 * PAGE); // one more than is asked for
            assertEquals(4L * PAGE, takeEventually(disk, 8192 + 4 * PAGE, 4L * PAGE));
            assertEquals(0, pipe.heldBytes());
            assertEquals(8L * PAGE, pipe.receivedBytes());
        }
        byte[] expected = new byte[SIZE];
        System.arraycopy(sent, 0, expected, 8192, 8 * PAGE);
        assertArrayEquals(expected, Files.readAllBytes(file));
    }

    /// A page that is not written whole may have to be read before.
    @Test
    void aStorageThatMayReadFirstIsAskedForWholePagesOnly() throws Exception {
        Path file = image("target");
        send(0, 2 * PAGE);
        try (DiskImage image = DiskImage.open(file, DiskMode.WRITEBACK)) {
            assertEquals(LocalDisk.NOT_TAKEN, disk(image).take(pipe, 512, PAGE));
            assertEquals(LocalDisk.NOT_TAKEN, disk(image).take(pipe, 0, PAGE + 512));
            assertEquals(0, pipe.receivedBytes());
        }
    }

    /// Each write is stable there when it returns, or goes past the page cache.
    @ParameterizedTest
    @ValueSource(strings = {"writethrough", "direct"})
    void modesThatWaitTakeNothing(String mode) throws Exception {
        Path file = image("target");
        send(0, 2 * PAGE);
        DiskImage opened;
        try {
            opened = DiskImage.open(file, DiskMode.parse(mode));
        } catch (DiskException e) {
            Assumptions.abort("the build's folder: " + e.getMessage());
            return;
        }
        try (opened) {
            assertEquals(LocalDisk.NOT_TAKEN, disk(opened).take(pipe, 0, 2L * PAGE));
            assertEquals(0, pipe.receivedBytes());
        }
        assertArrayEquals(new byte[SIZE], Files.readAllBytes(file));
    }

    @Test
    void whatIsNotToBeWrittenIsNotTaken() {
        send(0, 2 * PAGE);
        DiskImage readOnly =
                DiskImage.of(new MemoryStore(SIZE, true), DiskMode.WRITEBACK, Runnable::run);
        assertEquals(LocalDisk.TAKE_FAILED, disk(readOnly).take(pipe, 0, PAGE));
        Taking store = new Taking();
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        assertEquals(LocalDisk.TAKE_FAILED, disk(image).take(pipe, SIZE - PAGE, 2L * PAGE));
        assertEquals(LocalDisk.TAKE_FAILED, disk(image).take(pipe, -PAGE, PAGE));
        assertEquals(0, store.asked);
        assertEquals(0, pipe.receivedBytes());
        assertTrue(image.failure().isEmpty());
        assertEquals(LocalDisk.NOT_TAKEN, disk(image).take(pipe, SIZE - PAGE, PAGE));
        assertEquals(1, store.asked);
    }

    /// Does with a take what it is told to.
    private static class Taking extends MemoryStore {
        int asked;

        Taking() {
            super(SIZE);
        }

        @Override
        public long takeNoWait(SocketPipe from, long offsetBytes, long mostBytes)
                throws IOException {
            asked++;
            return super.takeNoWait(from, offsetBytes, mostBytes);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aTakeThatFailsFailsTheDisk(boolean byMistake) {
        Taking store =
                new Taking() {
                    @Override
                    public long takeNoWait(SocketPipe from, long offsetBytes, long mostBytes)
                            throws IOException {
                        asked++;
                        if (byMistake) {
                            throw new IllegalStateException("a mistake");
                        }
                        throw new LinuxException("write disk", Errno.ENOSPC);
                    }
                };
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        LocalDisk<String> disk = disk(image);
        assertEquals(LocalDisk.TAKE_FAILED, disk.take(pipe, 0, PAGE));
        String failure = image.failure().orElseThrow().toString();
        assertTrue(failure.contains(byMistake ? "a mistake" : "no space"), failure);
        assertEquals(LocalDisk.TAKE_FAILED, disk.take(pipe, 0, PAGE));
        assertEquals(1, store.asked, "a failed disk is not written");
    }

    /// The disk becomes smaller while something is taken: what came behind its end is cut off.
    @Test
    void h031_aTakeThatACutOvertakesFails() {
        long[] size = {SIZE};
        List<Long> resized = new ArrayList<>();
        MemoryStore store =
                new MemoryStore(SIZE) {
                    @Override
                    public long sizeBytes() {
                        return size[0];
                    }

                    @Override
                    public long takeNoWait(SocketPipe from, long offsetBytes, long mostBytes) {
                        size[0] = PAGE;
                        return PAGE;
                    }

                    @Override
                    public void resize(long newSizeBytes) {
                        resized.add(newSizeBytes);
                    }
                };
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        LocalDisk<String> disk = disk(image);
        assertEquals(PAGE, disk.take(pipe, 0, PAGE));
        size[0] = SIZE;
        assertEquals(LocalDisk.TAKE_FAILED, disk.take(pipe, 2L * PAGE, PAGE));
        assertEquals(List.of((long) PAGE), resized);
        assertTrue(image.failure().isEmpty());
    }
}
