package org.splitring.blkback;

import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Work that has ended on other threads, on its way back to the loop: many ends wake the loop once,
/// and nothing is allocated.
final class FinishedTransfers {
    private static final Logger LOG = LoggerFactory.getLogger(FinishedTransfers.class);

    private final AtomicReference<@Nullable ImageTransfer> newest = new AtomicReference<>();
    private final Executor loop;
    private final Runnable task;

    /// @param task takes them, on the loop
    FinishedTransfers(Executor loop, Runnable task) {
        this.loop = loop;
        this.task = task;
    }

    /// Hands one back. Any thread.
    void add(ImageTransfer transfer) {
        ImageTransfer head;
        do {
            head = newest.get();
            transfer.nextFinished = head;
        } while (!newest.compareAndSet(head, transfer));
        if (head == null) { // otherwise whoever put the first one has called the loop
            try {
                loop.execute(task);
            } catch (RejectedExecutionException e) {
                LOG.warn("disk {}: the loop ended before its requests", transfer.disk.name());
            }
        }
    }

    /// All of them, linked by [ImageTransfer#nextFinished], the one that ended first before the
    /// others. On the loop.
    @Nullable ImageTransfer takeAll() {
        ImageTransfer next = newest.getAndSet(null);
        ImageTransfer oldest = null;
        while (next != null) {
            ImageTransfer before = next.nextFinished;
            next.nextFinished = oldest;
            oldest = next;
            next = before;
        }
        return oldest;
    }
}
