package org.splitring.blkback.image;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.FileCalls;
import org.splitring.hypervisor.linux.IoVector;

class HostFileTest {
    private static final int RWF_NOWAIT = 8;

    @TempDir Path folder;

    /// As ext4: a write cannot be asked not to wait; and it waits when it is told to.
    private static final class Ext4 implements FileCalls {
        private boolean waits;
        private int writes;
        private int refused;

        @Override
        public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
            return counted(KERNEL.preadv2(fd, into, fileOffset, flags));
        }

        private long counted(long result) {
            refused += result == -Errno.EINVAL ? 1 : 0;
            return result;
        }

        @Override
        public long pwritev2(int fd, IoVector from, long fileOffset, int flags) {
            if ((flags & RWF_NOWAIT) != 0) {
                return -Errno.EOPNOTSUPP;
            }
            writes++;
            long end = System.nanoTime() + 2 * WriteTrial.LONG_NANOS;
            while (waits && System.nanoTime() - end < 0) {
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
            }
            return counted(KERNEL.pwritev2(fd, from, fileOffset, 0));
        }

        @Override
        public int fdatasync(int fd) {
            return KERNEL.fdatasync(fd);
        }

        @Override
        public int fsync(int fd) {
            return KERNEL.fsync(fd);
        }

        @Override
        public int ftruncate(int fd, long sizeBytes) {
            return KERNEL.ftruncate(fd, sizeBytes);
        }

        @Override
        public int fallocate(int fd, int mode, long offset, long sizeBytes) {
            return KERNEL.fallocate(fd, mode, offset, sizeBytes);
        }
    }

    private static long write(HostFile file, long offset, int sizeBytes) throws IOException {
        MemorySegment memory = Arena.ofAuto().allocate(sizeBytes).fill((byte) 3);
        IoVector vector = new IoVector(1);
        vector.add(memory, 0, sizeBytes);
        long written = file.writeNoWait(vector, offset);
        assertEquals(written == sizeBytes ? 0 : sizeBytes, vector.remainingBytes());
        return written;
    }

    /// On a busy machine any write may have taken long.
    private static void writeEventually(HostFile file, long offset) {
        await().until(() -> write(file, offset, 4096) == 4096);
    }

    @Test
    void writesThatMayWaitAreTriedUntilOneHasTakenLong() throws Exception {
        Path path = Files.createTempFile(Path.of("target").toAbsolutePath(), "host", ".img");
        try {
            String fileSystem = Files.getFileStore(path).type();
            assumeTrue(
                    fileSystem.startsWith("ext"),
                    "the build's folder is on " + fileSystem + ", and only ext4 is tried");
            Files.write(path, new byte[64 << 10]);
            Ext4 calls = new Ext4();
            try (HostFile file = HostFile.openRaw(calls, path, DiskAccess.READ_WRITE, false)) {
                writeEventually(file, 0);
                assertEquals(ImageFile.WOULD_BLOCK, write(file, 512, 512)); // may have to read
                assertEquals(1, calls.writes);
                calls.waits = true;
                for (int i = 0; i < 5; i++) { // the last pause is longer than a test is held up
                    writeEventually(file, 12288);
                }
                assertEquals(ImageFile.WOULD_BLOCK, write(file, 16384, 4096));
                assertEquals(6, calls.writes);
            }
            byte[] bytes = Files.readAllBytes(path);
            assertEquals(3, bytes[12288]);
            assertEquals(0, bytes[16384]);
        } finally {
            Files.delete(path);
        }
    }

    private static byte[] transfer(HostFile file, boolean write, long offset, byte[] bytes)
            throws IOException {
        MemorySegment memory = Arena.ofAuto().allocate(bytes.length, 4096);
        memory.copyFrom(MemorySegment.ofArray(bytes));
        IoVector vector = new IoVector(1);
        vector.add(memory, 0, bytes.length);
        if (write) {
            file.write(vector, offset);
        } else {
            assertEquals(bytes.length, file.read(vector, offset));
        }
        return memory.toArray(ValueLayout.JAVA_BYTE);
    }

    /// What it needs is learned from what is refused: 16 bytes are too few for any storage.
    @Test
    void directTransfersThatAreNotAlignedAreRefusedOnceOnly() throws Exception {
        Path path = Files.createTempFile(Path.of("target").toAbsolutePath(), "host", ".img");
        try {
            Files.write(path, new byte[64 << 10]);
            Ext4 calls = new Ext4();
            HostFile opened;
            try {
                opened = HostFile.openDirect(calls, path, DiskAccess.READ_WRITE);
            } catch (DiskException e) {
                abort("the build's folder: " + e.getMessage());
                return;
            }
            try (HostFile file = opened) {
                byte[] sixteen = "sixteen bytes it".getBytes(StandardCharsets.US_ASCII);
                transfer(file, true, 4096, sixteen);
                int refused = calls.refused;
                assumeTrue(refused > 0, "this kernel takes any transfer");
                for (int i = 0; i < 100; i++) {
                    assertArrayEquals(sixteen, transfer(file, false, 4096, new byte[16]));
                    transfer(file, true, 16, sixteen);
                }
                assertEquals(refused, calls.refused);
                byte[] block = transfer(file, false, 4096, new byte[4096]);
                assertArrayEquals(sixteen, Arrays.copyOf(block, 16));
                assertEquals(refused, calls.refused);
            }
        } finally {
            Files.delete(path);
        }
    }

    /// A file of 700 bytes ends in the middle of a sector.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aSectorThatIsNotAllHoleIsData(boolean hole) throws Exception {
        Path path = folder.resolve("odd.img");
        Files.write(path, new byte[hole ? 0 : 700]);
        AllocationMap map = new AllocationMap();
        try (HostFile file = HostFile.open(path, DiskAccess.READ_WRITE, false)) {
            file.truncate(700);
            file.describe(0, 2048, map);
            assertEquals(1, map.count());
            assertEquals(hole, map.isHole(0));
            assertEquals(hole ? 512 : 1024, map.sizeBytes(0));
            map.clear(8);
            file.describe(512, 512, map);
            assertFalse(map.isHole(0));
            assertEquals(512, map.sizeBytes(0));
        }
    }

    @Test
    void whatIsNotTheKernelsFileAloneIsData() throws Exception {
        Path path = Files.write(folder.resolve("other.img"), new byte[0]);
        AllocationMap map = new AllocationMap();
        try (HostFile file = HostFile.openRaw(new Ext4(), path, DiskAccess.READ_WRITE, false)) {
            file.truncate(1 << 20);
            file.describe(0, 1 << 20, map);
            assertFalse(map.isHole(0));
            assertEquals(1 << 20, map.coveredBytes());
        }
    }
}
