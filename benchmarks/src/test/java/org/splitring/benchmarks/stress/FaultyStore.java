package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// A disk in memory that does one thing wrong, once it is told to.
final class FaultyStore implements BlockStore {
    /// What it does.
    enum Fault {
        /// A bit of what is read is another one.
        FLIP,
        /// Reads find the block of the next place.
        SWAP,
        /// Writes are answered and forgotten.
        FORGET,
        /// Nothing gets on for a time.
        STALL,
        /// There is no room for writes.
        FULL
    }

    static final long STALL_MILLIS = 200;

    private final MemorySegment bytes;
    private final int block;
    private volatile @Nullable Fault fault;

    FaultyStore(long sizeBytes, int block) {
        bytes = Arena.ofAuto().allocate(sizeBytes, 4096);
        this.block = block;
    }

    /// From now on; stalls once.
    void be(Fault wanted) {
        fault = wanted;
    }

    private void stall() {
        if (fault == Fault.STALL) {
            fault = null;
            try {
                TimeUnit.MILLISECONDS.sleep(STALL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public String name() {
        return "faulty";
    }

    @Override
    public long sizeBytes() {
        return bytes.byteSize();
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    @Override
    public long read(IoVector into, long offsetBytes) {
        stall();
        long size = into.remainingBytes();
        long from = fault == Fault.SWAP ? (offsetBytes + block) % bytes.byteSize() : offsetBytes;
        if (fault == Fault.FLIP) {
            MemorySegment copy = Arena.ofAuto().allocate(size, 8);
            copy.copyFrom(bytes.asSlice(from, size));
            byte old = copy.get(ValueLayout.JAVA_BYTE, 100);
            copy.set(ValueLayout.JAVA_BYTE, 100, (byte) (old ^ 4));
            into.put(copy, 0, size);
        } else {
            into.put(bytes, from, size);
        }
        return size;
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) {
        return read(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        stall();
        if (fault == Fault.FULL) {
            throw new IOException("No space left on device");
        }
        long size = from.remainingBytes();
        if (fault == Fault.FORGET) {
            from.advance(size);
        } else {
            from.take(bytes, offsetBytes, size);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        long size = from.remainingBytes();
        write(from, offsetBytes);
        return size;
    }

    @Override
    public void sync() {
        // it is memory
    }

    @Override
    public void close() {
        // nothing is open
    }
}
