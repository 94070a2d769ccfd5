package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.ringbuffer.OneToOneRingBuffer;
import org.agrona.concurrent.ringbuffer.RingBufferDescriptor;

/// A pair of Agrona rings in memory that both ends map, with room for as many entries as a ring of
/// one page has.
record AgronaRings(
        OneToOneRingBuffer requests, OneToOneRingBuffer responses, AgronaWork work, int capacity) {
    /// Bytes of memory that a pair needs at most.
    static final int SIZE_BYTES = 64 * 1024;

    static AgronaRings in(MemorySegment memory, int entrySizeBytes) {
        AgronaWork work = new AgronaWork(entrySizeBytes);
        int capacity = work.capacity();
        int requestBytes = sizeBytes(capacity, work.entrySizeBytes());
        int responseBytes = sizeBytes(capacity, work.responseSizeBytes());
        return new AgronaRings(
                new OneToOneRingBuffer(buffer(memory, 0, requestBytes)),
                new OneToOneRingBuffer(buffer(memory, SIZE_BYTES / 2, responseBytes)),
                work,
                capacity);
    }

    /// Twice the room of all records, a header of 8 bytes before each, as a power of two: space is
    /// given back only at the end of a batch, and the end of the buffer is padded.
    private static int sizeBytes(int entries, int entrySizeBytes) {
        int record = (entrySizeBytes + 8 + 7) & -8;
        return Integer.highestOneBit(entries * record * 4 - 1)
                + RingBufferDescriptor.TRAILER_LENGTH;
    }

    private static UnsafeBuffer buffer(MemorySegment memory, long offset, int sizeBytes) {
        return new UnsafeBuffer(memory.asSlice(offset, sizeBytes).asByteBuffer());
    }
}
