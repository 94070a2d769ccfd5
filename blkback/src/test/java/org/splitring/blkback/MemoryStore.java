package org.splitring.blkback;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.linux.IoVector;

/// A store in the heap, for tests that want no file. Subclasses fail, record and wait.
class MemoryStore implements BlockStore {
    final byte[] bytes;
    private final MemorySegment segment;
    private final boolean readOnly;

    MemoryStore(int sizeBytes, boolean readOnly) {
        this.bytes = new byte[sizeBytes];
        this.segment = MemorySegment.ofArray(bytes);
        this.readOnly = readOnly;
    }

    MemoryStore(int sizeBytes) {
        this(sizeBytes, false);
    }

    @Override
    public String name() {
        return "memory";
    }

    @Override
    public long sizeBytes() {
        return bytes.length;
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        long at = offsetBytes;
        while (into.remainingBytes() > 0) {
            long length = into.length(0);
            MemorySegment.copy(segment, at, into.memory(0), into.offset(0), length);
            at += length;
            into.advance(length);
        }
        return at - offsetBytes;
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return read(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        long at = offsetBytes;
        while (from.remainingBytes() > 0) {
            long length = from.length(0);
            MemorySegment.copy(from.memory(0), from.offset(0), segment, at, length);
            at += length;
            from.advance(length);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        long size = from.remainingBytes();
        write(from, offsetBytes);
        return size;
    }

    @Override
    public int discardGranularityBytes() {
        return DiskImage.SECTOR_SIZE;
    }

    @Override
    public boolean discardZeroes() {
        return true;
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes) throws IOException {
        segment.asSlice(offsetBytes, sizeBytes).fill((byte) 0);
    }

    @Override
    public void sync() throws IOException {}

    @Override
    public void close() {}
}
