package org.splitring.driverdomain;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.LocalDisk;
import org.splitring.blkback.WorkShare;
import org.splitring.blkfront.Completion;
import org.splitring.driverdomain.nbd.DiskBuffer;
import org.splitring.driverdomain.nbd.ExportedDisk;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// An image that this process has open, as the NBD server sees it: no guest and no ring between.
final class ImageDisk implements ExportedDisk {
    private static final int ALIGNMENT = 4096; // what direct access may ask for

    private final DiskImage image;
    private final LocalDisk<Completion> disk;

    /// @param workers do what has to wait for storage
    /// @param loop the server's
    ImageDisk(DiskImage image, WorkShare workers, DeviceLoop loop) {
        this.image = image;
        disk = new LocalDisk<>(image, workers, loop, Completion::done);
    }

    private record Memory(MemorySegment bytes) implements DiskBuffer {}

    @Override
    public long sizeBytes() {
        return image.sizeBytes();
    }

    @Override
    public int blockSizeBytes() {
        return DiskImage.SECTOR_SIZE;
    }

    @Override
    public boolean readOnly() {
        return image.readOnly();
    }

    @Override
    public boolean flushes() {
        return !image.readOnly() && image.mode() != DiskMode.UNSAFE;
    }

    @Override
    public boolean discards() {
        return image.discardGranularityBytes() > 0;
    }

    @Override
    public boolean discardZeroes() {
        return discards() && image.discardZeroes();
    }

    @Override
    public @Nullable VectoredFile cachedFile() {
        return disk.cachedFile();
    }

    @Override
    public DiskBuffer acquire(int sizeBytes) {
        return new Memory(Arena.ofAuto().allocate(sizeBytes, ALIGNMENT));
    }

    @Override
    public void release(DiskBuffer buffer) {
        // Nobody refers to it any more, and so it goes.
    }

    @Override
    public void read(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done) {
        disk.read(offsetBytes, buffer.bytes(), sizeBytes, done);
    }

    @Override
    public void write(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done) {
        disk.write(offsetBytes, buffer.bytes(), sizeBytes, done);
    }

    @Override
    public long take(SocketPipe from, long offsetBytes, long mostBytes) {
        return disk.take(from, offsetBytes, mostBytes);
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes, Completion done) {
        disk.discard(offsetBytes, sizeBytes, done);
    }

    @Override
    public void describe(long offsetBytes, long sizeBytes, AllocationMap into, Completion done) {
        disk.describe(offsetBytes, sizeBytes, into, done);
    }

    @Override
    public void flush(Completion done) {
        disk.flush(done);
    }
}
