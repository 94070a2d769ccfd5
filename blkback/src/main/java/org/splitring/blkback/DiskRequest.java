package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoUring;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// One place in the table of requests in flight: made at connect, reused for ever. It belongs to
/// the loop, except while a worker or a flush has it.
final class DiskRequest implements DiskTransfer, FlushListener {
    private static final Logger LOG = LoggerFactory.getLogger(DiskRequest.class);

    /// Its number among the places, here and in the note.
    final int place;

    /// The private copy of its slot, in the note.
    final MemorySegment copy;

    final CheckedRequest request = new CheckedRequest();
    /// For its pages: its own, or a larger one that is lent to it.
    SegmentList segments = new SegmentList(BlkifLayout.MAX_SEGMENTS_PER_REQUEST);

    final SegmentList ownSegments = segments;

    /// The answer, set by whoever finishes the work.
    int status;

    /// When it was taken from the ring, by the clock of the loop.
    long takenNanos;

    /// Whether it counts among what changes the disk and is under way.
    boolean changing;

    /// Whether the data of a barrier is written, and has to be made stable.
    boolean written;

    /// Next in the list of finished requests, or of those that wait for a barrier or for room.
    @Nullable DiskRequest next;

    private @Nullable VectoredFile plainFile; // while it is left to the kernel

    private final DiskQueue queue;
    private final DiskImage disk;

    DiskRequest(DiskQueue queue, DiskImage disk, int place, MemorySegment copy) {
        this.queue = queue;
        this.place = place;
        this.copy = copy;
        this.disk = disk;
    }

    /// Where on the disk the rest of the vector goes.
    long offsetBytes() {
        long totalBytes = request.sectors * DiskImage.SECTOR_SIZE;
        return request.startSector * DiskImage.SECTOR_SIZE
                + totalBytes
                - segments.vector.remainingBytes();
    }

    @Override
    public long costBytes() {
        return segments.vector.remainingBytes();
    }

    /// The part that waits for storage, on a worker.
    @Override
    public void run() {
        int outcome = DiskImage.FAILED;
        try {
            outcome =
                    switch (request.operation) {
                        case BlkifOp.READ -> disk.read(segments.vector, offsetBytes());
                        case BlkifOp.DISCARD ->
                                disk.discard(
                                        request.startSector * DiskImage.SECTOR_SIZE,
                                        request.sectors * DiskImage.SECTOR_SIZE);
                        default -> disk.write(segments.vector, offsetBytes());
                    };
        } catch (Throwable t) { // whatever happened, the request is answered
            LOG.error("disk {}: request failed", disk.name(), t);
        }
        ended(outcome);
    }

    private void ended(int outcome) {
        if (request.operation == BlkifOp.WRITE_BARRIER && outcome == DiskImage.DONE) {
            written = true;
            disk.flush(this);
            return;
        }
        status = statusOf(outcome);
        queue.finished(this);
    }

    @Override
    public boolean isPlain() {
        boolean read = request.operation == BlkifOp.READ;
        plainFile = request.operation == BlkifOp.DISCARD ? null : disk.plainFile(!read);
        return plainFile != null && (read || disk.takesWrites());
    }

    @Override
    public boolean isAlone() {
        return request.operation != BlkifOp.READ
                && request.operation != BlkifOp.DISCARD
                && disk.writesAlone();
    }

    @Override
    public void submit(IoUring ring, long token) {
        VectoredFile file = Objects.requireNonNull(plainFile);
        if (request.operation == BlkifOp.READ) {
            ring.read(file, segments.vector, offsetBytes(), token);
        } else {
            ring.write(file, segments.vector, offsetBytes(), token);
        }
    }

    @Override
    public Next completed(int result) {
        try {
            IoVector vector = segments.vector;
            if (result > 0) {
                vector.advance(result);
                if (vector.remainingBytes() > 0) {
                    return Next.SUBMIT; // a part, as a signal or the end of a file may cause
                }
            } else if (result == -Errno.EINTR) {
                return Next.SUBMIT;
            } else if (result == -Errno.EINVAL || result == -Errno.EAGAIN) {
                return Next.RUN; // not aligned as direct access wants it, or not to be done so
            }
            if (request.operation == BlkifOp.READ) {
                ended(result > 0 ? DiskImage.DONE : DiskImage.FAILED);
            } else {
                // Nothing written and no error is no way for a file to answer.
                int errno = result == 0 ? Errno.EIO : Math.max(0, -result);
                ended(disk.written(offsetBytes(), errno));
            }
        } catch (Throwable t) { // whatever happened, the request is answered
            LOG.error("disk {}: request failed", disk.name(), t);
            ended(DiskImage.FAILED);
        }
        return Next.NONE;
    }

    /// The status that tells of an outcome: one of [DiskImage].
    static int statusOf(int outcome) {
        return switch (outcome) {
            case DiskImage.DONE -> BlkifStatus.OKAY;
            case DiskImage.NOT_SUPPORTED -> BlkifStatus.EOPNOTSUPP;
            default -> BlkifStatus.ERROR;
        };
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
