package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// What a disk should hold, and random requests against it that are checked.
final class DiskModel {
    private static final int SECTOR = 512;
    private static final int MAX_SECTORS = 512;

    final byte[] bytes;
    private final Random random;
    private final MemorySegment memory =
            Arena.ofAuto().allocate((long) MAX_SECTORS * SECTOR * 2, 4096);
    private final IoVector vector = new IoVector(256);

    DiskModel(byte[] bytes, Random random) {
        this.bytes = bytes;
        this.random = random;
    }

    /// Where a random request goes, and how far: often at the edges of clusters of any size.
    private int[] range() {
        int sectors = bytes.length / SECTOR;
        int count = 1 + random.nextInt(random.nextInt(4) == 0 ? MAX_SECTORS : 16);
        count = Math.min(count, sectors);
        int first = random.nextInt(sectors - count + 1);
        if (random.nextBoolean()) {
            first = first / 128 * 128; // a cluster of 64 KiB begins
        }
        return new int[] {first * SECTOR, count * SECTOR};
    }

    /// Cuts memory into pieces of whole sectors, with gaps between them.
    private void pieces(int sizeBytes) {
        vector.clear();
        int at = 0;
        int left = sizeBytes;
        while (left > 0) {
            int size = Math.min(left, SECTOR * (1 + random.nextInt(16)));
            if (vector.size() == vector.capacity() - 1) {
                size = left;
            }
            vector.add(memory, at, size);
            at += size + (random.nextBoolean() ? SECTOR : 0);
            at = Math.min(at, (int) memory.byteSize() - (left - size));
            left -= size;
        }
    }

    void write(BlockStore store) throws IOException {
        int[] range = range();
        write(store, range[0], range[1]);
    }

    /// Writes, the first part without waiting if the store takes it.
    void write(BlockStore store, int offset, int size) throws IOException {
        byte[] data = new byte[size];
        random.nextBytes(data);
        if (random.nextInt(8) == 0) {
            Arrays.fill(data, (byte) 0);
        }
        pieces(size);
        IoVector copy = new IoVector(256);
        copy.addFrom(vector, size);
        copy.put(MemorySegment.ofArray(data), 0, size);
        long at = offset;
        if (random.nextBoolean()) {
            at += Math.max(0, store.writeNoWait(vector, offset));
        }
        store.write(vector, at);
        assertEquals(0, vector.remainingBytes());
        System.arraycopy(data, 0, bytes, offset, size);
    }

    void read(BlockStore store) throws IOException {
        int[] range = range();
        read(store, range[0], range[1]);
    }

    void read(BlockStore store, int offset, int size) throws IOException {
        pieces(size);
        IoVector copy = new IoVector(256);
        copy.addFrom(vector, size);
        long at = offset;
        if (random.nextBoolean()) {
            at += Math.max(0, store.readNoWait(vector, offset));
        }
        store.read(vector, at);
        assertEquals(0, vector.remainingBytes());
        byte[] found = new byte[size];
        copy.take(MemorySegment.ofArray(found), 0, size);
        int difference = Arrays.mismatch(found, Arrays.copyOfRange(bytes, offset, offset + size));
        assertEquals(-1, difference, "first difference of a read of " + size + " at " + offset);
    }

    void readAll(BlockStore store) throws IOException {
        for (int at = 0; at < bytes.length; at += MAX_SECTORS * SECTOR) {
            read(store, at, Math.min(MAX_SECTORS * SECTOR, bytes.length - at));
        }
    }

    void discard(BlockStore store) throws IOException {
        int[] range = range();
        store.discard(range[0], range[1]);
        Arrays.fill(bytes, range[0], range[0] + range[1], (byte) 0);
    }

    /// Changes the size of the disk, and what is expected of it.
    DiskModel resize(BlockStore store, int sizeBytes) throws IOException {
        store.resize(sizeBytes);
        return new DiskModel(Arrays.copyOf(bytes, sizeBytes), random);
    }

    /// Writes, reads, discards, and now and then a flush.
    void run(BlockStore store, int requests) throws IOException {
        for (int i = 0; i < requests; i++) {
            switch (random.nextInt(11)) {
                case 0 -> store.sync();
                case 10 -> discard(store);
                case 1, 2, 3, 4 -> read(store);
                default -> write(store);
            }
        }
    }
}
