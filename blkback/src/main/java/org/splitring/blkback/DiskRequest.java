package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// One place in the table of requests in flight: made at connect, reused for ever. It belongs to
/// the loop, except while a worker or a flush has it.
final class DiskRequest extends ImageTransfer implements FlushListener {
    /// Its number among the places, here and in the note.
    final int place;

    /// The private copy of its slot, in the note.
    final MemorySegment copy;

    final CheckedRequest request = new CheckedRequest();
    /// For its pages: its own, or a larger one that is lent to it.
    SegmentList segments = new SegmentList(BlkifLayout.MAX_SEGMENTS_PER_REQUEST);

    final SegmentList ownSegments = segments;

    /// When it was taken from the ring, by the clock of the loop.
    long takenNanos;

    /// Whether it counts among what changes the disk and is under way.
    boolean changing;

    /// Whether the data of a barrier is written, and has to be made stable.
    boolean written;

    /// Next of those that wait for a barrier or for room.
    @Nullable DiskRequest next;

    private final DiskQueue queue;

    DiskRequest(DiskQueue queue, DiskImage disk, int place, MemorySegment copy) {
        super(disk);
        this.queue = queue;
        this.place = place;
        this.copy = copy;
    }

    @Override
    int operation() {
        return request.operation;
    }

    @Override
    long startBytes() {
        return request.startSector * DiskImage.SECTOR_SIZE;
    }

    @Override
    long sizeBytes() {
        return request.sectors * DiskImage.SECTOR_SIZE;
    }

    @Override
    IoVector vector() {
        return segments.vector;
    }

    @Override
    void ended(int outcome) {
        if (request.operation == BlkifOp.WRITE_BARRIER && outcome == DiskImage.DONE) {
            written = true;
            disk.flush(this);
            return;
        }
        status = statusOf(outcome);
        queue.finished(this);
    }

    @Override
    public void flushed(boolean stable) {
        if (!stable) {
            status = BlkifStatus.ERROR;
        } else if (request.sectors > 0 && !written) {
            queue.writeAfterFlush(this);
            return;
        } else {
            status = BlkifStatus.OKAY;
        }
        queue.finished(this);
    }
}
