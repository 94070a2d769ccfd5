package org.splitring.blkback.nbd;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// Reads and writes a store as arrays, through memory in several pieces.
public final class StoreBytes {
    private StoreBytes() {}

    public static void write(BlockStore store, long offset, byte[] data) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocate(2L * data.length, 4096);
            store.write(pieces(memory, data), offset);
        }
    }

    public static byte[] read(BlockStore store, long offset, int sizeBytes) throws IOException {
        byte[] data = new byte[sizeBytes];
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocate(2L * sizeBytes, 4096);
            IoVector vector = pieces(memory, data);
            long count = store.read(vector, offset);
            if (count != sizeBytes) {
                throw new IOException("read " + count + " of " + sizeBytes);
            }
            int half = half(sizeBytes);
            MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, 0, data, 0, half);
            MemorySegment.copy(
                    memory, ValueLayout.JAVA_BYTE, sizeBytes, data, half, sizeBytes - half);
        }
        return data;
    }

    /// The first half at the beginning of the memory, the second in its middle.
    private static IoVector pieces(MemorySegment memory, byte[] data) {
        int half = half(data.length);
        MemorySegment.copy(data, 0, memory, ValueLayout.JAVA_BYTE, 0, half);
        MemorySegment.copy(
                data, half, memory, ValueLayout.JAVA_BYTE, data.length, data.length - half);
        IoVector vector = new IoVector(2);
        vector.add(memory, 0, half);
        vector.add(memory, data.length, data.length - half);
        return vector;
    }

    private static int half(int size) {
        return size / 1024 * 512;
    }
}
