package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Memfd;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.Pipe;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.hypervisor.linux.VectoredFile;

/// What is not a plain sealed memfd does not become guest memory: each kind by name, with the
/// status that `docs/abi.md` gives, no descriptor kept, and the next guest welcome.
class RefusedMemoryTest {
    private static final int EPERM = -1;
    private static final int EINVAL = -22;
    private static final int EFBIG = -27;
    private static final long MEMORY = 1 << 20;

    @TempDir Path folder;
    private AttachBed bed;
    private long before;

    @BeforeEach
    void start() throws IOException {
        bed = new AttachBed(folder);
        bed.listen(7);
        before = AttachBed.openDescriptors();
    }

    /// Whatever was refused: nothing stays open, and a correct guest is let in.
    @AfterEach
    void stop() throws IOException {
        try {
            AttachBed.awaitDescriptors(before);
            assertTrue(bed.recorder.attached.isEmpty(), "nobody was let in");
            assertEquals(0, AttachBed.guestMappings());
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                guest.attach(MEMORY);
            }
        } finally {
            bed.close();
        }
    }

    private int offer(int fd) throws IOException {
        return offer(fd, MEMORY);
    }

    /// Offers a descriptor, closes it, and sees that the connection has ended.
    private int offer(int fd, long memoryBytes) throws IOException {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            int status = guest.tryHello(memoryBytes, fd);
            assertFalse(guest.receive(), "the connection ends after a refusal");
            return status;
        } finally {
            Fd.close(fd);
        }
    }

    private static int sealed(long sizeBytes, int seals) throws LinuxException {
        int fd = Memfd.create("refused", sizeBytes);
        Memfd.addSeals(fd, seals);
        return fd;
    }

    @Test
    void j01_memoryWithoutSealsIsRefused() throws Exception {
        assertEquals(EPERM, offer(Memfd.create("refused", MEMORY)));
    }

    @Test
    void j01_memoryThatCannotBeSealedIsRefused() throws Exception {
        assertEquals(EPERM, offer(Memfd.createUnsealable("refused", MEMORY)));
    }

    @Test
    void j01_memoryThatCanShrinkIsRefused() throws Exception {
        assertEquals(EPERM, offer(sealed(MEMORY, Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL)));
    }

    @Test
    void memoryThatCanGrowIsRefused() throws Exception {
        assertEquals(EPERM, offer(sealed(MEMORY, Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_SEAL)));
    }

    @Test
    void memoryWhoseSealsAreNotSealedIsRefused() throws Exception {
        assertEquals(EPERM, offer(sealed(MEMORY, Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW)));
    }

    @Test
    void writeSealedMemoryIsRefused() throws Exception {
        assertEquals(EPERM, offer(sealed(MEMORY, RawGuest.SEALS | Memfd.F_SEAL_WRITE)));
    }

    @Test
    void futureWriteSealedMemoryIsRefused() throws Exception {
        assertEquals(EPERM, offer(sealed(MEMORY, RawGuest.SEALS | Memfd.F_SEAL_FUTURE_WRITE)));
    }

    @Test
    void readOnlyDescriptorOfGoodMemoryIsRefused() throws Exception {
        int fd = sealed(MEMORY, RawGuest.SEALS);
        try (VectoredFile readOnly = VectoredFile.open(Path.of("/proc/self/fd/" + fd))) {
            assertEquals(EPERM, offer(Fd.duplicate(readOnly.fd())));
        } finally {
            Fd.close(fd);
        }
    }

    @Test
    void hugePagesAreRefused() throws Exception {
        int fd;
        try {
            fd = Memfd.createHuge("refused", 2 << 20);
        } catch (LinuxException e) {
            Assumptions.abort("this kernel has no huge pages: " + e.getMessage());
            return;
        }
        Memfd.addSeals(fd, RawGuest.SEALS);
        assertEquals(EPERM, offer(fd, 2 << 20));
    }

    @Test
    void regularFileIsRefused() throws Exception {
        Path path = Files.write(folder.resolve("file"), new byte[(int) MEMORY]);
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE)) {
            assertEquals(EPERM, offer(Fd.duplicate(file.fd())));
        }
    }

    @Test
    void fileOfATmpfsIsRefused() throws Exception {
        Path shm = Path.of("/dev/shm");
        Assumptions.assumeTrue(Files.isWritable(shm), "/dev/shm is not there");
        Path path = Files.createTempFile(shm, "splitring", ".test");
        try {
            Files.write(path, new byte[(int) MEMORY]);
            try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE)) {
                assertEquals(EPERM, offer(Fd.duplicate(file.fd())));
            }
        } finally {
            Files.delete(path);
        }
    }

    @Test
    void eventFdPipeSocketAndDeviceAreRefused() throws Exception {
        assertEquals(EPERM, offer(EventFd.create().fd()));
        Pipe pipe = Pipe.create();
        assertEquals(EPERM, offer(pipe.reader().fd()));
        assertEquals(EPERM, offer(pipe.writer().fd()));
        int[] sockets = UnixSocket.streamPair();
        assertEquals(EPERM, offer(sockets[0]));
        assertEquals(EPERM, offer(sockets[1]));
        try (VectoredFile zero = VectoredFile.open(Path.of("/dev/zero"), OpenFlag.READ_WRITE)) {
            assertEquals(EPERM, offer(Fd.duplicate(zero.fd())));
        }
    }

    @Test
    void n13_memorySmallerThanPromisedIsRefused() throws Exception {
        assertEquals(EINVAL, offer(sealed(MEMORY - 4096, RawGuest.SEALS)));
    }

    @Test
    void n13_memoryLargerThanPromisedIsRefused() throws Exception {
        assertEquals(EINVAL, offer(sealed(MEMORY + 4096, RawGuest.SEALS)));
    }

    @Test
    void j04_memoryBeyondTheLimitIsRefusedWhateverItIs() throws Exception {
        assertEquals(EFBIG, offer(sealed((64L << 20) + 4096, RawGuest.SEALS), (64L << 20) + 4096));
        assertEquals(EFBIG, offer(sealed(MEMORY, RawGuest.SEALS), 1L << 40));
        assertEquals(EFBIG, offer(sealed(MEMORY, RawGuest.SEALS), Long.MIN_VALUE));
        assertEquals(EFBIG, offer(sealed(MEMORY, RawGuest.SEALS), -4096));
    }

    @Test
    void j02_sizeThatIsNoWholeNumberOfPagesIsRefused() throws Exception {
        assertEquals(EINVAL, offer(sealed(MEMORY, RawGuest.SEALS), MEMORY - 1));
        assertEquals(EINVAL, offer(sealed(5000, RawGuest.SEALS), 5000));
        assertEquals(EINVAL, offer(sealed(0, RawGuest.SEALS), 0));
    }

    @Test
    void n07_structuresOutsideTheMemoryOrOnTopOfEachOtherAreRefused() throws Exception {
        int pages = (int) (MEMORY / 4096);
        // grant_table_gfn, grant_table_frames, xenstore_gfn
        int[][] bad = {
            {0, 0, -1},
            {0, 33, -1},
            {0, Integer.MAX_VALUE, -1},
            {0, -1, -1},
            {pages, 1, -1},
            {pages - 1, 2, -1},
            {-1, 1, -1},
            {Integer.MIN_VALUE, 1, -1},
            {0, 1, pages},
            {0, 1, -2},
            {0, 1, 0},
            {10, 4, 13},
        };
        for (int[] fields : bad) {
            int fd = sealed(MEMORY, RawGuest.SEALS);
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                guest.hello(MEMORY).u32(32, fields[0]).u32(36, fields[1]).u32(40, fields[2]);
                guest.send(48, fd);
                assertEquals(EINVAL, guest.status(), () -> java.util.Arrays.toString(fields));
            } finally {
                Fd.close(fd);
            }
        }
    }

    @Test
    void wrongMagicVersionAndFlagsAreAnswered() throws Exception {
        int[][] wrong = {
            {16, 0x534C5052, EINVAL}, {20, 0, -93}, {20, 2, -93}, {20, -1, -93}, {44, 1, EINVAL}
        };
        for (int[] field : wrong) {
            int fd = sealed(MEMORY, RawGuest.SEALS);
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                guest.hello(MEMORY).u32(field[0], field[1]).send(48, fd);
                assertEquals(field[2], guest.status());
                assertEquals(1, guest.word(16), "the version that is spoken here");
                assertFalse(guest.receive());
            } finally {
                Fd.close(fd);
            }
        }
    }
}
