package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// How bytes come from a stream into a file; another pipe is the stream here.
class SocketPipeTest {
    private static final int SIZE = 64 << 10;

    @TempDir Path dir;
    private final byte[] sent = new byte[SIZE];
    private Path path;
    private VectoredFile file;
    private Pipe stream;
    private SocketPipe pipe;

    @BeforeEach
    void open() throws Exception {
        new Random(20261128).nextBytes(sent);
        path = Files.write(dir.resolve("disk"), new byte[SIZE]);
        file = VectoredFile.open(path, OpenFlag.READ_WRITE);
        stream = Pipe.create();
        pipe = SocketPipe.of(stream.reader().fd());
    }

    @AfterEach
    void close() {
        pipe.close();
        stream.reader().close();
        stream.writer().close();
        file.close();
    }

    private void send(int from, int count) {
        MemorySegment bytes = Arena.ofAuto().allocate(count);
        MemorySegment.copy(sent, from, bytes, ValueLayout.JAVA_BYTE, 0, count);
        assertEquals(count, Fd.write(stream.writer().fd(), bytes.address(), count));
    }

    @Test
    void whatTheStreamHasGoesToTheFileAndTheRestIsHeld() throws Exception {
        assertEquals(0, pipe.receive(SIZE), "nothing has come");
        send(0, 10_000);
        assertEquals(9_000, pipe.receive(9_000), "no more than asked for");
        assertEquals(1_000, pipe.receive(SIZE));
        assertEquals(10_000, pipe.heldBytes());
        pipe.write(file, 4096, 8192);
        assertEquals(10_000 - 8192, pipe.heldBytes());
        send(10_000, 300);
        assertEquals(300, pipe.receive(SIZE));
        MemorySegment rest = Arena.ofAuto().allocate(4096);
        assertEquals(10_300 - 8192, pipe.read(rest));
        assertEquals(0, pipe.read(rest));
        assertEquals(0, pipe.heldBytes());
        assertEquals(10_300, pipe.receivedBytes());
        byte[] expected = new byte[SIZE];
        System.arraycopy(sent, 0, expected, 4096, 8192);
        assertArrayEquals(expected, Files.readAllBytes(path));
        assertArrayEquals(
                Arrays.copyOfRange(sent, 8192, 10_300),
                rest.asSlice(0, 10_300 - 8192).toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void whereThereIsRoomForLessLessIsRead() {
        send(0, 1000);
        assertEquals(1000, pipe.receive(SIZE));
        MemorySegment some = Arena.ofAuto().allocate(300);
        assertEquals(300, pipe.read(some));
        assertEquals(700, pipe.heldBytes());
        assertArrayEquals(Arrays.copyOf(sent, 300), some.toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void aStreamThatHasEndedOrIsNoneGivesNothing() throws Exception {
        stream.writer().close();
        assertEquals(0, pipe.receive(SIZE));
        try (SocketPipe none = SocketPipe.of(file.fd() + 1000)) {
            assertEquals(0, none.receive(SIZE));
            assertEquals(0, none.receivedBytes());
        }
    }

    @Test
    void aFileThatTakesNothingSaysSo() throws Exception {
        send(0, 8192);
        assertEquals(8192, pipe.receive(SIZE));
        try (VectoredFile readOnly = VectoredFile.open(path)) {
            LinuxException refused =
                    assertThrows(LinuxException.class, () -> pipe.write(readOnly, 0, 8192));
            assertEquals(Errno.EBADF, refused.errno());
            assertTrue(refused.toString().contains(path.toString()), refused.toString());
        }
        assertEquals(8192, pipe.heldBytes());
        pipe.write(file, 0, 8192);
        assertArrayEquals(Arrays.copyOf(sent, 8192), Arrays.copyOf(Files.readAllBytes(path), 8192));
    }
}
