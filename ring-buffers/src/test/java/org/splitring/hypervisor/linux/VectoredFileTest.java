package org.splitring.hypervisor.linux;

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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VectoredFileTest {
    private final MemorySegment memory = Arena.ofAuto().allocate(16 * 4096, 4096);
    private final IoVector vector = new IoVector(8);

    @TempDir Path folder;

    @Test
    void scatteredPiecesAreWrittenInOrderAndReadBack() throws Exception {
        Path path = folder.resolve("disk");
        for (int page = 0; page < 16; page++) {
            memory.asSlice(page * 4096L, 4096).fill((byte) page);
        }
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.CREATE)) {
            vector.add(memory, 5 * 4096, 4096);
            vector.add(memory, 6 * 4096, 512); // touches the piece before
            vector.add(memory, 2 * 4096, 4096);
            assertEquals(2, vector.size());
            file.write(vector, 512);
            assertEquals(0, vector.remainingBytes());
            assertEquals(512 + 2 * 4096 + 512, file.sizeBytes());
            byte[] bytes = Files.readAllBytes(path);
            assertEquals(5, bytes[512 + 4095]);
            assertEquals(6, bytes[512 + 4096]);
            assertEquals(2, bytes[512 + 4096 + 512]);

            vector.clear();
            vector.add(memory, 0, 4096);
            vector.add(memory, 8 * 4096, 4096);
            assertEquals(8192, file.read(vector, 512));
            assertEquals(5, memory.get(ValueLayout.JAVA_BYTE, 4095));
            assertEquals(6, memory.get(ValueLayout.JAVA_BYTE, 8 * 4096));
            assertEquals(2, memory.get(ValueLayout.JAVA_BYTE, 8 * 4096 + 512));
        }
    }

    @Test
    void bytesAreCopiedIntoPiecesAndOutOfThem() {
        vector.add(memory, 0, 3);
        vector.add(memory, 10, 5);
        IoVector front = new IoVector(1);
        assertEquals(3, front.addFrom(vector, 6), "one piece is all that fits");
        IoVector same = new IoVector(8);
        assertEquals(8, same.addFrom(vector, 100));
        assertEquals(8, vector.remainingBytes(), "it stays as it is");
        vector.put(MemorySegment.ofArray(new byte[] {9, 1, 2, 3, 4, 5}), 1, 5);
        vector.putZeros(3);
        assertEquals(0, vector.remainingBytes());
        byte[] out = new byte[9];
        same.take(MemorySegment.ofArray(out), 1, 8);
        assertEquals("[0, 1, 2, 3, 4, 5, 0, 0, 0]", Arrays.toString(out));
        assertEquals(5, memory.get(ValueLayout.JAVA_BYTE, 11));
        vector.add(memory, 0, 2);
        assertThrows(IllegalArgumentException.class, () -> vector.putZeros(3));
    }

    @Test
    void holesAndDataAreToldApart() throws Exception {
        Path path = folder.resolve("sparse");
        long kib = 1024;
        try (VectoredFile file = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.CREATE)) {
            file.truncate(1024 * kib);
            assertEquals(1024 * kib, file.holeBytes(0, Long.MAX_VALUE));
            assertEquals(0, file.dataBytes(0, Long.MAX_VALUE));
            vector.add(memory, 0, 64 * kib);
            file.write(vector, 64 * kib);
            assertEquals(64 * kib, file.holeBytes(0, Long.MAX_VALUE));
            assertEquals(0, file.holeBytes(64 * kib, Long.MAX_VALUE));
            assertEquals(64 * kib, file.dataBytes(64 * kib, Long.MAX_VALUE));
            assertEquals(60 * kib, file.dataBytes(68 * kib, Long.MAX_VALUE));
            assertEquals(896 * kib, file.holeBytes(128 * kib, Long.MAX_VALUE));
            assertEquals(512, file.holeBytes(128 * kib, 512));
            assertEquals(512, file.dataBytes(64 * kib, 512));
            file.dataSync(); // from the page cache to the storage
            assertEquals(64 * kib, file.dataBytes(64 * kib, Long.MAX_VALUE));
            // What is not there is no hole.
            assertEquals(0, file.holeBytes(1024 * kib, 512));
            assertEquals(512, file.dataBytes(1024 * kib, 512));
            assertEquals(0, file.holeBytes(1025 * kib, 512));
            assertEquals(512, file.dataBytes(1025 * kib, 512));
        }
    }

    @Test
    void whoCannotLookForHolesSaysSo() {
        VectoredFile none = VectoredFile.adopt(Path.of("none"), -1);
        LinuxException e = assertThrows(LinuxException.class, () -> none.holeBytes(0, 512));
        assertEquals(Errno.EBADF, e.errno());
        assertThrows(LinuxException.class, () -> none.dataBytes(0, 512));
    }

    @Test
    void readStopsAtTheEndOfTheFileAndLeavesTheRestInTheVector() throws Exception {
        Path path = Files.write(folder.resolve("short"), new byte[5000]);
        try (VectoredFile file = VectoredFile.open(path)) {
            vector.add(memory, 0, 4096);
            vector.add(memory, 3 * 4096, 4096);
            assertEquals(5000, file.read(vector, 0));
            assertEquals(2 * 4096 - 5000, vector.remainingBytes());
            assertEquals(1, vector.size());
            assertEquals(3 * 4096 + 904, vector.offset(0));
        }
    }

    @Test
    void cachedDataIsReadWithoutWaiting() throws Exception {
        byte[] content = new byte[8192];
        content[8191] = 7;
        Path path = Files.write(folder.resolve("cached"), content);
        try (VectoredFile file = VectoredFile.open(path)) {
            long done = 0;
            vector.add(memory, 0, 8192);
            while (vector.remainingBytes() > 0) {
                long count = file.readNoWait(vector, done);
                if (count == VectoredFile.WOULD_BLOCK) {
                    done += file.read(vector, done); // a file system without RWF_NOWAIT
                } else {
                    done += count;
                }
            }
            assertEquals(8192, done);
            assertEquals(7, memory.get(ValueLayout.JAVA_BYTE, 8191));
            vector.clear();
            vector.add(memory, 0, 512);
            long atEnd = file.readNoWait(vector, 8192);
            assertTrue(atEnd == 0 || atEnd == VectoredFile.WOULD_BLOCK, "at the end: " + atEnd);
        }
    }

    @Test
    void writingToAReadOnlyFileNamesFileAndReason() throws Exception {
        Path path = Files.write(folder.resolve("ro"), new byte[512]);
        try (VectoredFile file = VectoredFile.open(path)) {
            vector.add(memory, 0, 512);
            LinuxException e = assertThrows(LinuxException.class, () -> file.write(vector, 0));
            assertEquals(Errno.EBADF, e.errno());
            assertTrue(e.toString().contains(path.toString()), e.toString());
        }
        LinuxException e =
                assertThrows(
                        LinuxException.class, () -> VectoredFile.open(folder.resolve("absent")));
        assertEquals(Errno.ENOENT, e.errno());
        e =
                assertThrows(
                        LinuxException.class, () -> VectoredFile.open(folder, OpenFlag.READ_WRITE));
        assertEquals(Errno.EISDIR, e.errno());
    }

    @Test
    void fullDeviceIsReportedAsNoSpace() throws Exception {
        try (VectoredFile file = VectoredFile.open(Path.of("/dev/full"), OpenFlag.READ_WRITE)) {
            vector.add(memory, 0, 512);
            LinuxException e = assertThrows(LinuxException.class, () -> file.write(vector, 0));
            assertEquals(Errno.ENOSPC, e.errno());
            assertEquals(512, vector.remainingBytes());
        }
    }

    @Test
    void secondWriterIsRefusedAndTheHolderIsNamed() throws Exception {
        Path path = Files.write(folder.resolve("locked"), new byte[512]);
        VectoredFile first = VectoredFile.open(path, OpenFlag.READ_WRITE);
        try (VectoredFile second = VectoredFile.open(path, OpenFlag.READ_WRITE);
                VectoredFile reader = VectoredFile.open(path)) {
            assertTrue(first.tryLock(true));
            assertFalse(second.tryLock(true));
            assertFalse(reader.tryLock(false));
            assertEquals("this process", second.lockHolder().orElseThrow());
            first.close();
            assertTrue(reader.tryLock(false));
            assertFalse(second.tryLock(true));
        }
    }

    @Test
    void punchedHoleReadsAsZerosAndKeepsItsNeighbours() throws Exception {
        memory.fill((byte) 9);
        try (VectoredFile file =
                VectoredFile.open(folder.resolve("hole"), OpenFlag.READ_WRITE, OpenFlag.CREATE)) {
            vector.add(memory, 0, 12_288);
            file.write(vector, 0);
            file.dataSync();
            file.punchHole(4096, 4096);
            assertEquals(12_288, file.status().sizeBytes());
            assertTrue(file.status().isRegular());
            vector.clear();
            vector.add(memory, 0, 12_288);
            file.read(vector, 0);
            assertEquals(9, memory.get(ValueLayout.JAVA_BYTE, 4095));
            assertEquals(0, memory.get(ValueLayout.JAVA_BYTE, 4096));
            assertEquals(0, memory.get(ValueLayout.JAVA_BYTE, 8191));
            assertEquals(9, memory.get(ValueLayout.JAVA_BYTE, 8192));
            file.truncate(100);
            assertEquals(100, file.sizeBytes());
            file.allocate(0, 8192);
            assertEquals(8192, file.sizeBytes());
            file.sync();
        }
    }

    @Test
    void vectorRefusesPiecesOutsideTheirMemory() {
        assertThrows(IndexOutOfBoundsException.class, () -> vector.add(memory, 16 * 4096 - 1, 2));
        assertThrows(IndexOutOfBoundsException.class, () -> vector.add(memory, -1, 2));
        assertThrows(
                IndexOutOfBoundsException.class,
                () -> vector.add(memory, Long.MAX_VALUE, Long.MAX_VALUE));
        assertThrows(
                IllegalArgumentException.class,
                () -> vector.add(MemorySegment.ofArray(new byte[8]), 0, 8));
        for (int i = 0; i < 8; i++) {
            vector.add(memory, i * 8192L, 1);
        }
        assertThrows(IllegalStateException.class, () -> vector.add(memory, 4096, 1));
        assertEquals(8, vector.remainingBytes());
        assertThrows(IllegalArgumentException.class, () -> vector.advance(9));
        vector.advance(3);
        assertEquals(3 * 8192L, vector.offset(0));
    }
}
