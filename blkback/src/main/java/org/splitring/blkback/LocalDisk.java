package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Objects;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// An image as somebody in this process uses it, without ring and guest: an NBD server. What the
/// page cache can serve is done at once; what has to wait for storage goes to the workers and comes
/// back to the loop, as with [DiskQueue]. Others may use the same [DiskImage]; what is promised
/// about flushes and failures holds for all together.
///
/// On the loop. Whoever uses it has checked that ranges lie on the disk; one that does not, or not
/// any more after a [DiskImage#resize], is answered with an error.
///
/// @param <T> who asks: given with each request, and told of its end
public final class LocalDisk<T> {
    /// Hears how requests ended.
    ///
    /// @param <T> who asks
    @FunctionalInterface
    public interface Answers<T> {
        /// A request has ended; called exactly once for each, on the loop, perhaps before the call
        /// that made it has returned.
        ///
        /// @param blkifStatus `BLKIF_RSP_OKAY` (0), `BLKIF_RSP_ERROR` (-1) or
        ///     `BLKIF_RSP_EOPNOTSUPP` (-2)
        void answered(T asker, int blkifStatus);
    }

    /// Answer of [#take].
    public static final long NOT_TAKEN = BlockStore.WOULD_BLOCK;

    /// Answer of [#take].
    public static final long TAKE_FAILED = DiskImage.TAKE_FAILED;

    private static final Logger LOG = LoggerFactory.getLogger(LocalDisk.class);

    private final DiskImage disk;
    private final WorkShare workers;
    private final Answers<T> answers;
    private final ArrayDeque<Request> idle = new ArrayDeque<>(); // as many as were under way once
    private final FinishedTransfers finished;

    /// @param workers do what has to wait, until all that was asked for has ended
    public LocalDisk(DiskImage disk, WorkShare workers, DeviceLoop loop, Answers<T> answers) {
        this.disk = disk;
        this.workers = workers;
        this.answers = answers;
        finished = new FinishedTransfers(loop, this::answerFinished);
    }

    private final class Request extends ImageTransfer implements FlushListener {
        private final IoVector vector = new IoVector(1);
        private int operation;
        private long startBytes;
        private long sizeBytes;
        private @Nullable T asker;
        private @Nullable AllocationMap map;

        Request() {
            super(LocalDisk.this.disk);
        }

        @Override
        int operation() {
            return operation;
        }

        @Override
        long startBytes() {
            return startBytes;
        }

        @Override
        long sizeBytes() {
            return sizeBytes;
        }

        @Override
        IoVector vector() {
            return vector;
        }

        @Override
        AllocationMap map() {
            return Objects.requireNonNull(map);
        }

        @Override
        void ended(int outcome) {
            status = statusOf(outcome);
            finished.add(this);
        }

        @Override
        public void flushed(boolean stable) {
            status = stable ? BlkifStatus.OKAY : BlkifStatus.ERROR;
            finished.add(this);
        }
    }

    public DiskImage image() {
        return disk;
    }

    /// The open file whose page cache has the disk, byte for byte.
    ///
    /// @return `null` when there is none such
    public @Nullable VectoredFile cachedFile() {
        return disk.cachedFile();
    }

    /// Reads into the start of `memory`, which is native and stays as it is until the answer.
    public void read(long offsetBytes, MemorySegment memory, long sizeBytes, T asker) {
        Request request = take(BlkifOp.READ, offsetBytes, sizeBytes, asker);
        request.vector.add(memory, 0, sizeBytes);
        finishOrWait(request, disk.tryRead(request.vector, offsetBytes));
    }

    /// Writes the start of `memory`, which is native and stays as it is until the answer.
    public void write(long offsetBytes, MemorySegment memory, long sizeBytes, T asker) {
        Request request = take(BlkifOp.WRITE, offsetBytes, sizeBytes, asker);
        request.vector.add(memory, 0, sizeBytes);
        finishOrWait(request, disk.tryWrite(request.vector, offsetBytes));
    }

    /// Writes whole pages that a socket has ready, if that can be done at once: the first part of a
    /// write, for whose rest there is [#write]. What is less than a page stays in the pipe.
    ///
    /// @param offsetBytes as `mostBytes`, whole pages
    /// @param mostBytes what the pipe holds already, and what is still to come of the write
    /// @return bytes written, perhaps none; [#NOT_TAKEN] when the socket was not asked and is not
    ///     to be asked in this way for a while; [#TAKE_FAILED] when the write has failed, and what
    ///     the pipe holds is of no use
    public long take(SocketPipe from, long offsetBytes, long mostBytes) {
        return disk.tryTake(from, offsetBytes, mostBytes);
    }

    /// Gives the storage of a range back.
    public void discard(long offsetBytes, long sizeBytes, T asker) {
        giveToWorker(take(BlkifOp.DISCARD, offsetBytes, sizeBytes, asker));
    }

    /// Says what a range of at least one sector is: at least one extent of data or a hole from its
    /// beginning on, perhaps not all of it. What was written before is never said to be a hole.
    ///
    /// @param into emptied before, by whoever says how many extents there may be; it is the disk's
    ///     until the answer, and says nothing after an error
    public void describe(long offsetBytes, long sizeBytes, AllocationMap into, T asker) {
        Request request = take(ImageTransfer.DESCRIBE, offsetBytes, sizeBytes, asker);
        request.map = into;
        giveToWorker(request);
    }

    /// Makes every write stable that was answered before, whoever made it.
    public void flush(T asker) {
        disk.flush(take(BlkifOp.FLUSH_DISKCACHE, 0, 0, asker));
    }

    private Request take(int operation, long startBytes, long sizeBytes, T asker) {
        Request request = idle.poll();
        if (request == null) {
            request = new Request();
        }
        request.operation = operation;
        request.startBytes = startBytes;
        request.sizeBytes = sizeBytes;
        request.asker = asker;
        return request;
    }

    private void finishOrWait(Request request, int outcome) {
        if (outcome == DiskImage.WOULD_BLOCK) {
            giveToWorker(request);
        } else {
            answer(request, ImageTransfer.statusOf(outcome));
        }
    }

    private void giveToWorker(Request request) {
        try {
            workers.execute(request);
        } catch (RejectedExecutionException e) { // the workers are gone: closing down
            request.status = BlkifStatus.ERROR;
            finished.add(request);
        }
    }

    private void answerFinished() {
        ImageTransfer next = finished.takeAll();
        while (next != null) {
            @SuppressWarnings("unchecked") // nothing else is put there
            Request request = (Request) next;
            next = request.nextFinished;
            request.nextFinished = null;
            try {
                answer(request, request.status);
            } catch (RuntimeException e) {
                LOG.error("disk {}: an answer was not taken", disk.name(), e); // others are
            }
        }
    }

    private void answer(Request request, int status) {
        T asker = request.asker;
        if (asker == null) {
            throw new IllegalStateException("an answer for a request that is free");
        }
        request.asker = null;
        request.map = null;
        request.vector.clear();
        idle.add(request);
        answers.answered(asker, status);
    }
}
