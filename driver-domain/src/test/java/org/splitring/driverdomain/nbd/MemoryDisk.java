package org.splitring.driverdomain.nbd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkfront.Completion;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// A disk in memory for tests: completes on the loop in a later task, counts what it lends, and
/// fails or holds operations when told to.
@SuppressWarnings("NonAtomicVolatileUpdate") // only the loop updates
final class MemoryDisk implements ExportedDisk {
    final MemorySegment content;

    /// What a loss of power would leave: the content at the last flush.
    final MemorySegment stable;

    final Set<DiskBuffer> lent = new HashSet<>();
    final ArrayDeque<Runnable> held = new ArrayDeque<>();
    private final Executor loop;
    volatile boolean readOnly;
    volatile boolean holding;
    volatile int buffersLeft = Integer.MAX_VALUE;
    volatile long failReadAt = -1;
    volatile int flushError;
    volatile int reads;
    volatile int writes;
    volatile int flushes;
    volatile boolean discards = true;
    volatile boolean discardZeroes = true;
    volatile int discardStatus;
    volatile int discarded;
    volatile int lentCount;

    /// What is said of the parts of the disk, from its beginning on: bytes of data, or of holes as
    /// negative numbers. Without any all is data.
    volatile List<Long> extents = List.of();

    volatile long claimedBytes; // more than there is

    volatile int described;
    volatile int describeStatus;
    volatile long bytesRead;

    /// Where large READs come from, if it is cached; what it holds need not be the content.
    volatile @Nullable VectoredFile cachedFile;

    /// What [#take] does.
    interface Taking {
        long take(SocketPipe from, long offset, long mostBytes);
    }

    volatile Taking taking = ExportedDisk.super::take;

    record Buffer(MemorySegment bytes) implements DiskBuffer {}

    MemoryDisk(long sizeBytes, Executor loop) {
        content = Arena.ofAuto().allocate(sizeBytes, 4096);
        stable = Arena.ofAuto().allocate(sizeBytes, 4096);
        this.loop = loop;
    }

    @Override
    public long sizeBytes() {
        return Math.max(claimedBytes, content.byteSize());
    }

    @Override
    public int blockSizeBytes() {
        return 512;
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public boolean flushes() {
        return true;
    }

    @Override
    public boolean discards() {
        return discards;
    }

    @Override
    public boolean discardZeroes() {
        return discardZeroes;
    }

    /// Leaves rubbish when it promises nothing.
    @Override
    public void discard(long offset, long sizeBytes, Completion done) {
        discarded++;
        later(
                () -> {
                    if (discardStatus == 0) {
                        byte filling = (byte) (discardZeroes ? 0 : 0x5A);
                        content.asSlice(offset, sizeBytes).fill(filling);
                    }
                    done.done(discardStatus);
                });
    }

    @Override
    public @Nullable VectoredFile cachedFile() {
        return cachedFile;
    }

    @Override
    public @Nullable DiskBuffer acquire(int sizeBytes) {
        if (buffersLeft <= 0) {
            return null;
        }
        buffersLeft--;
        DiskBuffer buffer = new Buffer(Arena.ofAuto().allocate(sizeBytes, 4096));
        lent.add(buffer);
        lentCount = lent.size();
        return buffer;
    }

    @Override
    public void release(DiskBuffer buffer) {
        if (!lent.remove(buffer)) {
            throw new IllegalStateException("released twice");
        }
        buffersLeft++;
        lentCount = lent.size();
    }

    @Override
    public void read(long offset, DiskBuffer buffer, int sizeBytes, Completion done) {
        reads++;
        bytesRead += sizeBytes;
        later(
                () -> {
                    boolean fails = failReadAt >= offset && failReadAt < offset + sizeBytes;
                    MemorySegment.copy(content, offset, buffer.bytes(), 0, sizeBytes);
                    done.done(fails ? -1 : 0);
                });
    }

    @Override
    public void write(long offset, DiskBuffer buffer, int sizeBytes, Completion done) {
        writes++;
        later(
                () -> {
                    MemorySegment.copy(buffer.bytes(), 0, content, offset, sizeBytes);
                    done.done(0);
                });
    }

    @Override
    public long take(SocketPipe from, long offset, long mostBytes) {
        return taking.take(from, offset, mostBytes);
    }

    @Override
    public void flush(Completion done) {
        flushes++;
        later(
                () -> {
                    if (flushError == 0) {
                        MemorySegment.copy(content, 0, stable, 0, content.byteSize());
                    }
                    done.done(flushError);
                });
    }

    @Override
    public void describe(long offset, long sizeBytes, AllocationMap into, Completion done) {
        described++;
        if (extents.isEmpty()) {
            ExportedDisk.super.describe(offset, sizeBytes, into, done);
            return;
        }
        later(
                () -> {
                    long at = 0;
                    for (long extent : extents) {
                        long end = at + Math.abs(extent);
                        long size = Math.min(end, offset + sizeBytes) - Math.max(at, offset);
                        if (size > 0 && extent < 0) {
                            into.addHole(size);
                        } else if (size > 0) {
                            into.addData(size);
                        }
                        at = end;
                    }
                    done.done(describeStatus);
                });
    }

    private void later(Runnable operation) {
        if (holding) {
            held.add(operation);
        } else {
            loop.execute(operation);
        }
    }

    /// Lets go of what was held. Any thread.
    void letGo() {
        loop.execute(
                () -> {
                    holding = false;
                    while (!held.isEmpty()) {
                        held.removeFirst().run();
                    }
                });
    }
}
