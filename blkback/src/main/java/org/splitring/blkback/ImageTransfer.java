package org.splitring.blkback;

import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoUring;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// What somebody wants of an image, as far as it has to wait for storage: done by a thread, or by
/// the kernel alone where that can be. Used again and again; whoever made it owns it, except while
/// it is given away.
abstract class ImageTransfer implements DiskTransfer {
    private static final Logger LOG = LoggerFactory.getLogger(ImageTransfer.class);

    /// Asks what its range is; no operation of blkif.
    static final int DESCRIBE = -1;

    final DiskImage disk;

    /// The answer, a status of blkif, set by whoever finishes the work.
    int status;

    /// Next in a [FinishedTransfers].
    @Nullable ImageTransfer nextFinished;

    private @Nullable VectoredFile plainFile; // while it is left to the kernel

    ImageTransfer(DiskImage disk) {
        this.disk = disk;
    }

    /// What it does: `READ`, `DISCARD`, or something that writes, of [BlkifOp]; or [#DESCRIBE].
    abstract int operation();

    /// Where on the disk it starts.
    abstract long startBytes();

    abstract long sizeBytes();

    /// The memory that is left to be filled or written.
    abstract IoVector vector();

    /// What [#DESCRIBE] fills.
    AllocationMap map() {
        throw new IllegalStateException("nobody asks for operation " + operation() + " here");
    }

    /// It has come to its end, on any thread.
    ///
    /// @param outcome of [DiskImage]
    abstract void ended(int outcome);

    /// Where on the disk the rest of the vector goes.
    final long offsetBytes() {
        return startBytes() + sizeBytes() - vector().remainingBytes();
    }

    @Override
    public final long costBytes() {
        return vector().remainingBytes();
    }

    /// The part that waits for storage, on a worker.
    @Override
    public final void run() {
        int outcome = DiskImage.FAILED;
        try {
            outcome =
                    switch (operation()) {
                        case BlkifOp.READ -> disk.read(vector(), offsetBytes());
                        case BlkifOp.DISCARD -> disk.discard(startBytes(), sizeBytes());
                        case DESCRIBE -> disk.describe(startBytes(), sizeBytes(), map());
                        default -> disk.write(vector(), offsetBytes());
                    };
        } catch (Throwable t) { // whatever happened, it is answered
            LOG.error("disk {}: request failed", disk.name(), t);
        }
        ended(outcome);
    }

    private boolean writes() {
        return switch (operation()) {
            case BlkifOp.READ, BlkifOp.DISCARD, DESCRIBE -> false;
            default -> true;
        };
    }

    @Override
    public final boolean isPlain() {
        boolean moves = operation() == BlkifOp.READ || writes();
        plainFile = moves ? disk.plainFile(writes()) : null;
        return plainFile != null && (!writes() || disk.takesWrites());
    }

    @Override
    public final boolean isAlone() {
        return writes() && disk.writesAlone();
    }

    @Override
    public final void submit(IoUring ring, long token) {
        VectoredFile file = Objects.requireNonNull(plainFile);
        if (writes()) {
            ring.write(file, vector(), offsetBytes(), token);
        } else {
            ring.read(file, vector(), offsetBytes(), token);
        }
    }

    @Override
    public final Next completed(int result) {
        try {
            IoVector vector = vector();
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
            if (writes()) {
                // Nothing written and no error is no way for a file to answer.
                int errno = result == 0 ? Errno.EIO : Math.max(0, -result);
                ended(disk.written(offsetBytes(), errno));
            } else {
                ended(result > 0 ? DiskImage.DONE : DiskImage.FAILED);
            }
        } catch (Throwable t) { // whatever happened, it is answered
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
}
