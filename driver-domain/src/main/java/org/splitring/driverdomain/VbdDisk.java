package org.splitring.driverdomain;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.driverdomain.nbd.DiskBuffer;
import org.splitring.driverdomain.nbd.ExportedDisk;

/// A vbd of this guest as the NBD server sees it. Called on the vbd's loop.
final class VbdDisk implements ExportedDisk {
    private final VbdFrontend frontend;

    VbdDisk(VbdFrontend frontend) {
        this.frontend = frontend;
    }

    private static final class Pages implements DiskBuffer {
        private final GuestBuffer buffer;
        private final MemorySegment bytes;

        Pages(GuestBuffer buffer) {
            this.buffer = buffer;
            this.bytes = buffer.segment();
        }

        @Override
        public MemorySegment bytes() {
            return bytes;
        }
    }

    @Override
    public long sizeBytes() {
        return frontend.geometry().sizeBytes();
    }

    @Override
    public int blockSizeBytes() {
        return frontend.geometry().sectorSizeBytes();
    }

    @Override
    public boolean readOnly() {
        return frontend.geometry().readOnly();
    }

    @Override
    public boolean flushes() {
        return frontend.geometry().flush();
    }

    @Override
    public boolean discards() {
        return frontend.geometry().discard().isOffered();
    }

    @Override
    public boolean discardZeroes() {
        return frontend.geometry().discard().zeroes();
    }

    @Override
    public @Nullable DiskBuffer acquire(int sizeBytes) {
        GuestBuffer buffer = frontend.acquire(sizeBytes);
        return buffer == null ? null : new Pages(buffer);
    }

    @Override
    public void release(DiskBuffer buffer) {
        frontend.release(((Pages) buffer).buffer);
    }

    @Override
    public void read(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done) {
        frontend.read(offsetBytes, ((Pages) buffer).buffer, sizeBytes, done);
    }

    @Override
    public void write(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done) {
        frontend.write(offsetBytes, ((Pages) buffer).buffer, sizeBytes, done);
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes, Completion done) {
        frontend.discard(offsetBytes, sizeBytes, done);
    }

    @Override
    public void flush(Completion done) {
        frontend.flush(done);
    }
}
