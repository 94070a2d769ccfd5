package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What the page cache has of a file, and how it leaves through a pipe, which takes no more than
/// 64 KiB as a socket does that is full.
class CachedFileTest {
    private static final int SIZE = 1 << 20;
    private static final int PIPE_BYTES = 64 << 10;

    @TempDir Path dir;
    private final byte[] content = new byte[SIZE];
    private Path path;
    private VectoredFile file;
    private Pipe pipe;

    @BeforeEach
    void open() throws Exception {
        new Random(20261128).nextBytes(content);
        path = Files.write(dir.resolve("disk"), content);
        file = VectoredFile.open(path, OpenFlag.READ_WRITE);
        pipe = Pipe.create();
    }

    @AfterEach
    void close() {
        pipe.reader().close();
        pipe.writer().close();
        file.close();
    }

    private byte[] received(int count) {
        MemorySegment bytes = Arena.ofAuto().allocate(count);
        for (long done = 0; done < count; ) {
            long read = Fd.read(pipe.reader().fd(), bytes.address() + done, count - done);
            assertTrue(read > 0, "read " + read + " after " + done);
            done += read;
        }
        return bytes.toArray(ValueLayout.JAVA_BYTE);
    }

    @Test
    void whatWasWrittenIsCachedAndAHoleIsNot() throws Exception {
        CachedFile cached = new CachedFile(file);
        Assumptions.assumeTrue(cached.isCached(0, 4096), "needs Linux 6.5 (cachestat)");
        assertTrue(cached.isCached(0, SIZE));
        assertTrue(cached.isCached(4096 - 512, 1024), "parts of two pages");
        assertTrue(cached.isCached(SIZE - 512, 512));
        file.truncate(2 * SIZE); // a hole that nobody has read
        assertFalse(cached.isCached(SIZE, 4096));
        assertFalse(cached.isCached(SIZE - 4096, 8192), "one of two pages");
        assertFalse(cached.isCached(0, 2 * SIZE));
        file.close();
        assertFalse(cached.isCached(0, 4096), "the kernel cannot say");
    }

    @Test
    void asMuchIsSentAsThereIsRoomForAndThenTheRest() throws Exception {
        CachedFile cached = new CachedFile(file);
        long offset = 12_800;
        assertEquals(4096, cached.send(pipe.writer().fd(), offset, 4096));
        assertArrayEquals(Arrays.copyOfRange(content, 12_800, 12_800 + 4096), received(4096));
        long first = cached.send(pipe.writer().fd(), 0, SIZE);
        assertTrue(first > 0 && first <= PIPE_BYTES, "sent " + first);
        assertEquals(0, cached.send(pipe.writer().fd(), first, SIZE - first), "it is full");
        assertArrayEquals(Arrays.copyOf(content, (int) first), received((int) first));
        assertEquals(512, cached.send(pipe.writer().fd(), first, 512));
        assertArrayEquals(
                Arrays.copyOfRange(content, (int) first, (int) first + 512), received(512));
    }

    @Test
    void aFileThatHasBecomeShorterIsAnError() throws Exception {
        CachedFile cached = new CachedFile(file);
        file.truncate(8192);
        assertEquals(4096, cached.send(pipe.writer().fd(), 4096, 65536), "what is there");
        LinuxException e =
                assertThrows(
                        LinuxException.class, () -> cached.send(pipe.writer().fd(), 8192, 65536));
        assertEquals(Errno.EIO, e.errno());
        assertTrue(String.valueOf(e.getMessage()).contains(path.toString()), e.getMessage());
    }

    @Test
    void aReceiverThatIsGoneIsAnError() throws Exception {
        CachedFile cached = new CachedFile(file);
        pipe.reader().close();
        assertThrows(LinuxException.class, () -> cached.send(pipe.writer().fd(), 0, 4096));
    }
}
