package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Pages of a file stand for those of a device.
class AddressRangeTest {
    private static final int PAGE = 4096;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path dir;

    private VectoredFile file(int pages) throws Exception {
        Path path = dir.resolve("pages");
        byte[] bytes = new byte[pages * PAGE];
        for (int page = 0; page < pages; page++) {
            bytes[page * PAGE] = (byte) (page + 1);
        }
        Files.write(path, bytes);
        return VectoredFile.open(path, OpenFlag.READ_WRITE);
    }

    @Test
    void pagesComeAndGoWithinOneSegment() throws Exception {
        try (VectoredFile file = file(3);
                AddressRange range = AddressRange.reserve(8L * PAGE)) {
            int both = Mmap.PROT_READ | Mmap.PROT_WRITE;
            MemorySegment segment = range.segment();
            assertEquals(0, range.put(2L * PAGE, 2L * PAGE, both, file.fd(), PAGE));
            assertEquals(2, segment.get(ValueLayout.JAVA_BYTE, 2L * PAGE));
            assertEquals(3, segment.get(ValueLayout.JAVA_BYTE, 3L * PAGE));
            segment.set(ValueLayout.JAVA_BYTE, 3L * PAGE, (byte) 77);
            assertEquals(77, Files.readAllBytes(file.path())[2 * PAGE]);
            assertTrue(range.clear(2L * PAGE, 2L * PAGE));
            assertEquals(0, range.put(0, PAGE, both, file.fd(), 0));
            assertEquals(1, segment.get(ValueLayout.JAVA_BYTE, 0));
        }
    }

    /// What touches an empty place through the kernel gets `EFAULT`, not somebody's bytes.
    @Test
    void anEmptyPlaceIsNoMemoryForSystemCalls() throws Exception {
        try (VectoredFile file = file(1);
                AddressRange range = AddressRange.reserve(PAGE)) {
            assertEquals(-14, Fd.read(file.fd(), range.segment().address(), 16));
            assertEquals(0, range.put(0, PAGE, Mmap.PROT_READ, file.fd(), 0));
            assertTrue(range.clear(0, PAGE));
            assertEquals(-14, Fd.read(file.fd(), range.segment().address(), 16));
        }
    }

    @Test
    void aPlaceThatTheDeviceRefusedIsFreeAgainOrLost() throws Exception {
        try (VectoredFile file = file(1);
                AddressRange range = AddressRange.reserve(4L * PAGE)) {
            for (int i = 0; i < 100; i++) {
                // Not a multiple of the page size: refused.
                assertEquals(-Errno.EINVAL, range.put(0, PAGE, Mmap.PROT_READ, file.fd(), 7));
            }
            assertFalse(range.isLost(PAGE, PAGE));
            if (!range.isLost(0, PAGE)) {
                assertEquals(0, range.put(0, PAGE, Mmap.PROT_READ, file.fd(), 0));
            }
        }
    }

    @Test
    void nothingIsReachedAfterClosing() throws Exception {
        AddressRange range = AddressRange.reserve(PAGE);
        range.close();
        range.close();
        assertThrows(
                IllegalStateException.class, () -> range.segment().get(ValueLayout.JAVA_BYTE, 0));
    }
}
