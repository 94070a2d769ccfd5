package org.splitring.blkfront;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.GrantTable;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Every transfer of a device that has not ended, and its buffers: what outlives a connection.
///
///     start ──► waiting ──► ring (VbdQueue) ──► end, once
///                             │        ▲
///             connection lost ▼        │ next connection, in the order of the first time
///                            leftovers ┘
///
/// A transfer is cut into requests when there is room on the ring. A request that was not
/// answered when its connection ended is a leftover; it goes out on the next ring before anything
/// that was never sent. A request that was answered is not sent again. So a write that was
/// acknowledged is not repeated, writes keep their order, and a flush follows the writes that
/// were before it.
///
/// All on the loop.
final class TransferQueue {
    private static final Logger LOG = LoggerFactory.getLogger(TransferQueue.class);

    /// A request without an answer, of a connection that has ended.
    ///
    /// @param startBytes where in the transfer it begins
    /// @param number its place in the order in which requests were sent first
    record Leftover(Transfer transfer, long startBytes, long sizeBytes, long number) {}

    private static final Comparator<Leftover> FIRST_SENT_FIRST =
            Comparator.comparingLong(Leftover::number).thenComparingLong(Leftover::startBytes);

    /// A page that the backend of an ended connection still holds, while its transfer goes on
    /// with the next. It is not given to another transfer before the backend has let go.
    private record HeldPage(GrantTable grants, int gref, int page) {}

    private final DeviceLoop loop;
    private final BufferPool pool;
    private final int poolFirstGfn;

    private final ArrayDeque<Leftover> leftovers = new ArrayDeque<>();
    private @Nullable Transfer waitingHead;
    private @Nullable Transfer waitingTail;
    private @Nullable Transfer unused;
    private int liveTransfers;

    private final List<HeldPage> heldPages = new ArrayList<>();
    private final ArrayDeque<Runnable> bufferListeners = new ArrayDeque<>();
    private final ArrayDeque<Runnable> whenIdle = new ArrayDeque<>();
    private final ArrayDeque<Runnable> whenEnded = new ArrayDeque<>();

    private final List<VbdQueue> rings = new ArrayList<>(); // none while there is no connection
    private int nextRing;
    private long numbers;
    private boolean held;
    private boolean refusing;
    private @Nullable String endReason;

    /// @param poolFirstGfn page where the buffers begin
    TransferQueue(DeviceLoop loop, BufferPool pool, int poolFirstGfn) {
        this.loop = loop;
        this.pool = pool;
        this.poolFirstGfn = poolFirstGfn;
    }

    DeviceLoop loop() {
        return loop;
    }

    BufferPool pool() {
        return pool;
    }

    int poolFirstGfn() {
        return poolFirstGfn;
    }

    /// Transfers that have not ended.
    int liveTransfers() {
        return liveTransfers;
    }

    boolean isEnded() {
        return endReason != null;
    }

    void release(GuestBuffer buffer) {
        pool.release(buffer);
        // Only those that wait now: one that finds too little registers again, for the next time.
        for (int left = bufferListeners.size(); left > 0; left--) {
            bufferListeners.remove().run();
        }
    }

    void onBufferFree(Runnable listener) {
        bufferListeners.add(listener);
    }

    /// Runs `listener` once when there will be no further connection; at once when that is so.
    void whenEnded(Runnable listener) {
        if (isEnded()) {
            listener.run();
        } else {
            whenEnded.add(listener);
        }
    }

    /// Runs `task` when no transfer is under way, or when none can get on because there is no
    /// connection.
    void whenIdle(Runnable task) {
        if (liveTransfers == 0 || rings.isEmpty()) {
            task.run();
        } else {
            whenIdle.add(task);
        }
    }

    /// Takes up no further transfer: each ends with an error.
    void refuse() {
        refusing = true;
    }

    /// Takes up a transfer. Its numbers were checked.
    void start(
            int operation,
            long offsetBytes,
            @Nullable GuestBuffer buffer,
            long sizeBytes,
            Completion done) {
        Transfer transfer = unused;
        if (transfer == null) {
            transfer = new Transfer();
        } else {
            unused = transfer.next;
        }
        transfer.operation = operation;
        transfer.offsetBytes = offsetBytes;
        transfer.sizeBytes = sizeBytes;
        transfer.buffer = buffer;
        transfer.completion = done;
        transfer.submittedBytes = 0;
        transfer.allSubmitted = false;
        transfer.outstanding = 0;
        transfer.status = BlkifStatus.OKAY;
        transfer.next = null;
        liveTransfers++;
        if (isEnded() || refusing) {
            // Not from within this call: a caller that tries again in `done` would never return.
            transfer.status = BlkifStatus.ERROR;
            Transfer refused = transfer;
            loop.execute(() -> end(refused));
            return;
        }
        Transfer tail = waitingTail;
        if (tail == null) {
            waitingHead = transfer;
        } else {
            tail.next = transfer;
        }
        waitingTail = transfer;
        submitWaiting();
    }

    /// Lets the rings send what waits, one after the other, each time another one first.
    private void submitWaiting() {
        if (held) {
            return;
        }
        for (int i = rings.size(); i > 0 && (waitingHead != null || !leftovers.isEmpty()); i--) {
            nextRing = nextRing + 1 < rings.size() ? nextRing + 1 : 0;
            rings.get(nextRing).submitWaiting();
        }
    }

    /// Sends nothing until [#letGo].
    void hold() {
        held = true;
    }

    void letGo() {
        held = false;
        submitWaiting();
    }

    /// The place of a request in the order of sending.
    long nextNumber() {
        return numbers++;
    }

    // What the ring asks for.

    /// The transfer of which the next request is cut; null when none waits.
    @Nullable Transfer firstWaiting() {
        return waitingHead;
    }

    /// The first one that waits has been cut up completely.
    void removeFirstWaiting() {
        Transfer first = waitingHead;
        if (first == null) {
            throw new IllegalStateException("nothing waits");
        }
        waitingHead = first.next;
        if (waitingHead == null) {
            waitingTail = null;
        }
        first.next = null;
    }

    /// The request that goes out before any other; null when nothing is left over.
    @Nullable Leftover firstLeftover() {
        return leftovers.peek();
    }

    /// The beginning of the first one has been sent; the next backend may take less at a time
    /// than the last one.
    void sentOfFirstLeftover(long sizeBytes) {
        Leftover first = leftovers.remove();
        long left = first.sizeBytes - sizeBytes;
        if (left > 0) {
            first.transfer.outstanding++; // it is one request more now
            leftovers.addFirst(
                    new Leftover(first.transfer, first.startBytes + sizeBytes, left, first.number));
        }
    }

    /// The last request of a transfer was answered.
    void end(Transfer transfer) {
        Completion completion = transfer.completion;
        int status = transfer.status;
        transfer.completion = null;
        transfer.buffer = null;
        transfer.next = unused;
        unused = transfer;
        liveTransfers--;
        if (completion != null) {
            try {
                completion.done(status);
            } catch (RuntimeException e) { // the caller's bug is not the device's
                LOG.error("a completion failed", e);
            }
        }
        if (liveTransfers == 0) {
            runIdle();
        }
    }

    private void runIdle() {
        for (int left = whenIdle.size(); left > 0; left--) {
            whenIdle.remove().run();
        }
    }

    // Connections.

    /// Goes on with new rings: first what is left over, then what waits. What does not fit the
    /// disk as it is now ends with an error.
    void attach(List<VbdQueue> open, VbdGeometry geometry) {
        if (isEnded()) {
            return;
        }
        returnHeldPages();
        rings.addAll(open);
        rings.forEach(ring -> ring.useGeometry(geometry));
        endWhatDoesNotFit(geometry);
        submitWaiting();
    }

    /// A ring has ended.
    ///
    /// @param unanswered its requests without an answer, in the order in which they were sent
    void detach(VbdQueue closed, List<Leftover> unanswered) {
        rings.remove(closed);
        if (!unanswered.isEmpty()) {
            // Also between those of another ring, and before those that were not sent again yet.
            List<Leftover> all = new ArrayList<>(leftovers);
            all.addAll(unanswered);
            all.sort(FIRST_SENT_FIRST);
            leftovers.clear();
            leftovers.addAll(all);
        }
        if (isEnded()) {
            endWhatDoesNotFit(null);
        }
        if (!unanswered.isEmpty()) {
            LOG.info("{} requests are to be sent again", unanswered.size());
        }
        if (rings.isEmpty()) {
            runIdle();
        }
    }

    /// There will be no further connection: everything ends with an error.
    void endAll(String reason) {
        if (isEnded()) {
            return;
        }
        endReason = reason;
        rings.clear();
        endWhatDoesNotFit(null);
        while (!whenEnded.isEmpty()) {
            whenEnded.remove().run();
        }
    }

    /// Ends what is not on the ring and cannot get there.
    ///
    /// @param geometry null when nothing can
    void endWhatDoesNotFit(@Nullable VbdGeometry geometry) {
        List<Transfer> done = new ArrayList<>();
        for (Iterator<Leftover> it = leftovers.iterator(); it.hasNext(); ) {
            Transfer transfer = it.next().transfer();
            int status = statusOn(geometry, transfer);
            if (status != BlkifStatus.OKAY) {
                it.remove();
                transfer.status = status;
                transfer.outstanding--;
                if (transfer.outstanding == 0 && transfer.allSubmitted) {
                    done.add(transfer);
                }
            }
        }
        Transfer kept = null;
        for (Transfer transfer = waitingHead; transfer != null; ) {
            Transfer next = transfer.next;
            int status = statusOn(geometry, transfer);
            if (status == BlkifStatus.OKAY) {
                kept = transfer;
            } else {
                transfer.status = status;
                transfer.allSubmitted = true; // the rest of it never is
                transfer.next = null;
                if (kept == null) {
                    waitingHead = next;
                } else {
                    kept.next = next;
                }
                if (transfer.outstanding == 0) {
                    done.add(transfer);
                }
            }
            transfer = next;
        }
        waitingTail = kept;
        done.forEach(this::end);
    }

    /// What becomes of a transfer on a disk like that before it is sent.
    private static int statusOn(@Nullable VbdGeometry geometry, Transfer transfer) {
        if (geometry == null) {
            return BlkifStatus.ERROR;
        }
        if (transfer.operation == BlkifOp.FLUSH_DISKCACHE) {
            return geometry.flush() ? BlkifStatus.OKAY : BlkifStatus.EOPNOTSUPP;
        }
        if (transfer.operation == BlkifOp.DISCARD
                && !geometry.readOnly()
                && !geometry.discard().isOffered()) {
            return BlkifStatus.EOPNOTSUPP;
        }
        boolean fits = transfer.offsetBytes <= geometry.sizeBytes() - transfer.sizeBytes;
        boolean allowed = transfer.operation == BlkifOp.READ || !geometry.readOnly();
        return fits && allowed ? BlkifStatus.OKAY : BlkifStatus.ERROR;
    }

    // Pages that a backend keeps.

    /// Notes a page that the backend still holds; its transfer may go on using it.
    void hold(GrantTable grants, int gref, int page) {
        pool.lose(page);
        heldPages.add(new HeldPage(grants, gref, page));
    }

    private void returnHeldPages() {
        heldPages.removeIf(
                held -> {
                    if (!held.grants.tryRevoke(held.gref)) {
                        return false;
                    }
                    held.grants.unclaim(held.gref);
                    pool.regain(held.page);
                    return true;
                });
    }

    /// The buffers are given back: what is still held goes to the grant table's care.
    void quarantineHeldPages() {
        returnHeldPages();
        for (HeldPage held : heldPages) {
            held.grants.quarantine(held.gref, poolFirstGfn + held.page);
        }
        heldPages.clear();
    }
}
