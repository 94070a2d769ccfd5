package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Optional;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.testkit.FuzzBytes;

/// What a fuzzer does with an image that may be damaged: it is changed in places, opened, and read
/// and written as a guest would. Either of these works, or fails with an [IOException] whose
/// message names the image; opening always with a [DiskException] of one line.
///
/// - A read that says it is whole has filled all the memory, whatever was there before.
/// - Reading changes nothing in the image.
/// - What was written is read back, as long as it is within one cluster: two clusters may be said
///   to be in one place.
/// - An image to which nothing was done holds what it should.
/// - What the thread allocates and how much room the file takes is bounded.
final class FuzzedDisk {
    private static final int SECTOR = 512;
    private static final int MOST_SECTORS = 24;
    private static final int MOST_STEPS = 24;

    /// Largest table of a format (32 MiB) as bytes and as numbers, its checks, and what one request
    /// after the other needs.
    private static final long MOST_ALLOCATED = 160L << 20;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    // One for all runs: the fuzzer has one thread.
    private static final MemorySegment MEMORY =
            java.lang.foreign.Arena.global().allocate(MOST_SECTORS * SECTOR, 4096);

    /// Opens an image as [OpenImages] does.
    interface Opening {
        BlockStore open(SparseFile file) throws IOException;
    }

    private final FuzzBytes in;
    private final SparseFile file;
    private final int unitBytes;
    private final long allocatedBefore = THREADS.getCurrentThreadAllocatedBytes();
    private final IoVector vector = new IoVector(2);

    /// @param unitBytes smallest unit of which the format says where it is
    FuzzedDisk(FuzzBytes in, SparseFile file, int unitBytes) {
        this.in = in;
        this.file = file;
        this.unitBytes = unitBytes;
    }

    /// Changes an image in some places.
    ///
    /// @param hotspots where numbers are that matter: a fuzzer finds them faster like this
    static byte[] patched(byte[] sound, FuzzBytes in, int[] hotspots) {
        byte[] image = sound.clone();
        int patches = in.u8() % 12;
        for (int i = 0; i < patches; i++) {
            int kind = in.u8();
            int at =
                    switch (kind & 3) {
                        case 0 -> in.u8();
                        case 1 -> (in.u16() << 3) % image.length;
                        default -> hotspots[in.u8() % hotspots.length];
                    };
            long value =
                    switch (kind >> 2 & 3) {
                        case 0 -> in.u8();
                        case 1 -> (long) in.u16() << 9; // where a cluster or a block could be
                        case 2 -> Integer.toUnsignedLong(in.s32());
                        default -> in.s64();
                    };
            if ((kind & 0x10) != 0) {
                value |= 1L << 63; // the flag of qcow2 that says that a cluster is owned
            }
            int width = new int[] {1, 2, 4, 8}[kind >> 6];
            for (int b = width - 1; b >= 0; b--) {
                if (at + b < image.length) {
                    image[at + b] = (byte) value;
                }
                value >>>= 8;
            }
        }
        return image;
    }

    /// @param expected what the disk holds if nothing was done to its image
    void run(Opening opening, Optional<byte[]> expected) {
        BlockStore store;
        try {
            store = opening.open(file);
        } catch (DiskException e) {
            String message = String.valueOf(e.getMessage());
            assertTrue(message.startsWith("image " + file.name() + ""), message);
            assertEquals(-1, message.indexOf('\n'), message);
            assertTrue(message.length() > file.name().length() + 12, message);
            assertTrue(expected.isEmpty(), message);
            checkMemory();
            return;
        } catch (IOException e) {
            throw new AssertionError("opening an image fails otherwise", e);
        }
        try (store) {
            expected.ifPresent(bytes -> readAll(store, bytes));
            for (int step = 0; step < MOST_STEPS && in.hasMore(); step++) {
                step(store, expected);
            }
            store.sync();
        } catch (IOException e) {
            failed(e, expected);
        }
        checkMemory();
    }

    private void failed(IOException e, Optional<byte[]> expected) {
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains(file.name()) || message.equals("File too large"), message);
        if (expected.isPresent()) {
            throw new AssertionError("a sound image", e);
        }
    }

    private void checkMemory() {
        long allocated = THREADS.getCurrentThreadAllocatedBytes() - allocatedBefore;
        assertTrue(allocated < MOST_ALLOCATED, () -> "allocated " + allocated);
    }

    private void step(BlockStore store, Optional<byte[]> expected) {
        int kind = in.u8();
        long sectors = store.sizeBytes() / SECTOR;
        int count = (int) Math.min(1 + (kind >> 3) % MOST_SECTORS, sectors);
        // Near the beginning, near the end, or anywhere.
        long place = (kind & 4) == 0 ? in.u16() : in.s64();
        long at = Math.floorMod(place, sectors - count + 1) * SECTOR;
        try {
            switch (kind & 3) {
                case 0 -> read(store, at, count);
                case 1 -> write(store, at, count, expected);
                case 2 -> discard(store, at, (long) count * SECTOR, expected);
                default -> other(store, in.u8(), expected);
            }
        } catch (IOException e) {
            failed(e, expected);
        }
    }

    private void read(BlockStore store, long at, int count) throws IOException {
        long done = fill(store, at, count, (byte) 0xEE);
        byte[] once = MEMORY.asSlice(0, done).toArray(ValueLayout.JAVA_BYTE);
        boolean before = file.written();
        assertEquals(done, fill(store, at, count, (byte) 0x11), "bytes read");
        byte[] again = MEMORY.asSlice(0, done).toArray(ValueLayout.JAVA_BYTE);
        assertEquals(-1, Arrays.mismatch(once, again), "first byte that was not read");
        assertEquals(before, file.written(), "reading writes");
    }

    private long fill(BlockStore store, long at, int count, byte with) throws IOException {
        long size = (long) count * SECTOR;
        MEMORY.asSlice(0, size).fill(with);
        vector.clear();
        vector.add(MEMORY, 0, size);
        long done = Math.max(0, store.readNoWait(vector, at));
        done += store.read(vector, at + done);
        assertEquals(size - vector.remainingBytes(), done, "bytes said to be read");
        return done;
    }

    private void write(BlockStore store, long at, int count, Optional<byte[]> expected)
            throws IOException {
        long size = (long) count * SECTOR;
        byte[] data = new byte[(int) size];
        int seed = in.u8();
        for (int i = 0; i < size; i++) {
            data[i] = (byte) (seed + i / SECTOR + i);
        }
        MemorySegment.copy(data, 0, MEMORY, ValueLayout.JAVA_BYTE, 0, data.length);
        vector.clear();
        vector.add(MEMORY, 0, size);
        long done = Math.max(0, store.writeNoWait(vector, at));
        store.write(vector, at + done);
        assertEquals(0, vector.remainingBytes(), "bytes left behind");
        expected.ifPresent(bytes -> System.arraycopy(data, 0, bytes, (int) at, data.length));
        if (at / unitBytes == (at + size - 1) / unitBytes) {
            assertEquals(size, fill(store, at, count, (byte) 0xEE));
            byte[] found = MEMORY.asSlice(0, size).toArray(ValueLayout.JAVA_BYTE);
            assertEquals(-1, Arrays.mismatch(data, found), "first byte that was not written");
        }
    }

    private static void discard(BlockStore store, long at, long size, Optional<byte[]> expected)
            throws IOException {
        if (store.discardGranularityBytes() == 0) {
            return;
        }
        store.discard(at, size);
        expected.filter(bytes -> store.discardZeroes())
                .ifPresent(bytes -> Arrays.fill(bytes, (int) at, (int) (at + size), (byte) 0));
    }

    private void other(BlockStore store, int kind, Optional<byte[]> expected) throws IOException {
        if (kind < 0x80) {
            store.sync();
            expected.ifPresent(bytes -> readAll(store, bytes));
            return;
        }
        if (expected.isPresent()) {
            return; // its length is what it is compared with
        }
        try {
            store.resize(SECTOR * (1 + Math.floorMod(in.s64() >>> (in.u8() & 63), 1L << 21)));
        } catch (UnsupportedOperationException e) {
            // so a format has said
        }
    }

    private void readAll(BlockStore store, byte[] expected) {
        assertEquals(expected.length, store.sizeBytes());
        try {
            for (int at = 0; at < expected.length; at += MOST_SECTORS * SECTOR) {
                int size = Math.min(MOST_SECTORS * SECTOR, expected.length - at);
                assertEquals(size, fill(store, at, size / SECTOR, (byte) 0xEE));
                byte[] found = MEMORY.asSlice(0, size).toArray(ValueLayout.JAVA_BYTE);
                int wrong = Arrays.mismatch(Arrays.copyOfRange(expected, at, at + size), found);
                assertEquals(-1, wrong, "first byte that differs, from " + at);
            }
        } catch (IOException e) {
            throw new AssertionError("a sound image", e);
        }
    }
}
