package org.splitring.benchmarks.stress;

import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// A disk that takes everything and has nothing: what is left is the cost of the way to it.
public record NullStore(long sizeBytes) implements BlockStore {
    @Override
    public String name() {
        return "null";
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    private static long all(IoVector vector) {
        long size = vector.remainingBytes();
        vector.advance(size);
        return size;
    }

    @Override
    public long read(IoVector into, long offsetBytes) {
        return all(into);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) {
        return all(into);
    }

    @Override
    public void write(IoVector from, long offsetBytes) {
        from.advance(from.remainingBytes());
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) {
        return all(from);
    }

    @Override
    public void sync() {
        // nothing to lose
    }

    @Override
    public void close() {
        // nothing is open
    }
}
