package org.splitring.blkfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// The work of one ring, seen from the frontend: cuts transfers into requests, grants their pages,
/// and matches responses.
///
/// A ring request has a place in a private table; its number is the id on the wire. A place has its
/// own eleven grant references, claimed at connect, so that granting is two stores and revoking a
/// compare-and-set. What the backend says is believed only as far as the table agrees: an id that
/// is not out there, or an answer to another operation, breaks the device
/// (hostile catalogue H-007), and so does a page that is still mapped after its answer (H-085).
///
/// All on the loop.
final class VbdQueue implements RingWork {
    private static final Logger LOG = LoggerFactory.getLogger(VbdQueue.class);
    private static final int SECTOR_SIZE = 512;
    private static final int PAGE_SIZE = BufferPool.PAGE_SIZE;
    private static final int MAX_SEGMENTS = BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;
    private static final byte FREE = -1;

    private final FrontRing ring;
    private final EventChannel port;
    private final GrantTable grants;
    private final DomId backend;
    private final int handle;
    private final int poolFirstGfn;
    private final BufferPool pool;
    private final DeviceLoop loop;
    private final MemorySegment slotCopy;

    // The table of requests; a row for each id.
    private final int[] grefs;
    private final byte[] operations; // FREE, or what was asked
    private final @Nullable Transfer[] transfers;
    private final int[] segmentCounts;
    private final int[] firstPages;
    private final int[] freeIds;
    private int freeIdCount;

    private @Nullable Transfer waitingHead;
    private @Nullable Transfer waitingTail;
    private @Nullable Transfer unused;
    private int liveTransfers;

    private final ArrayDeque<Runnable> bufferListeners = new ArrayDeque<>();
    private @Nullable String brokenReason;
    private @Nullable Consumer<String> onBroken;
    private @Nullable Runnable whenIdle;

    /// @param grefs claimed references, eleven for each request that may be out at once
    /// @param poolFirstGfn page where the buffers begin
    VbdQueue(
            FrontRing ring,
            EventChannel port,
            GrantTable grants,
            int[] grefs,
            DomId backend,
            int handle,
            int poolFirstGfn,
            BufferPool pool,
            DeviceLoop loop) {
        this.ring = ring;
        this.port = port;
        this.grants = grants;
        this.grefs = grefs;
        this.backend = backend;
        this.handle = handle;
        this.poolFirstGfn = poolFirstGfn;
        this.pool = pool;
        this.loop = loop;
        this.slotCopy = Arena.ofAuto().allocate(ring.entrySizeBytes(), 8);
        int ids = Math.min(ring.entries(), grefs.length / MAX_SEGMENTS);
        operations = new byte[ids];
        Arrays.fill(operations, FREE);
        transfers = new Transfer[ids];
        segmentCounts = new int[ids];
        firstPages = new int[ids];
        freeIds = new int[ids];
        for (int id = ids - 1; id >= 0; id--) {
            freeIds[freeIdCount++] = id;
        }
    }

    /// @param listener is told once why the device has broken
    void onBroken(Consumer<String> listener) {
        onBroken = listener;
    }

    boolean isBroken() {
        return brokenReason != null;
    }

    /// Transfers that have not ended.
    int liveTransfers() {
        return liveTransfers;
    }

    BufferPool pool() {
        return pool;
    }

    /// Runs `task` when no transfer is under way: now or after the last one has ended.
    void whenIdle(Runnable task) {
        if (liveTransfers == 0) {
            task.run();
        } else {
            Runnable earlier = whenIdle;
            whenIdle =
                    earlier == null
                            ? task
                            : () -> {
                                earlier.run();
                                task.run();
                            };
        }
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

    /// Takes up a transfer. Its numbers were checked.
    void start(
            int operation,
            long offsetBytes,
            @Nullable GuestBuffer buffer,
            int sizeBytes,
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
        if (isBroken()) {
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

    @Override
    public int poll(int budget) {
        int count = Math.min(ring.unconsumedResponses(), budget);
        for (int i = 0; i < count; i++) {
            ring.copyResponse(slotCopy);
            take();
            if (isBroken()) {
                return 0;
            }
        }
        if (count > 0) {
            submitWaiting();
        }
        return count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }

    /// Ends the device: every transfer that is under way or waits ends with an error, once.
    void breakDevice(String reason) {
        if (isBroken()) {
            return;
        }
        brokenReason = reason;
        for (int id = 0; id < operations.length; id++) {
            if (operations[id] == FREE) {
                continue;
            }
            Transfer transfer = transfers[id];
            revokeOrQuarantine(id);
            operations[id] = FREE;
            transfers[id] = null;
            if (transfer != null) {
                transfer.status = BlkifStatus.ERROR;
                transfer.outstanding--;
                if (transfer.outstanding == 0 && transfer.allSubmitted) {
                    end(transfer);
                }
            }
        }
        // What is left has parts that were never submitted, so it waits in this queue.
        Transfer waiting = waitingHead;
        waitingHead = null;
        waitingTail = null;
        while (waiting != null) {
            Transfer next = waiting.next;
            waiting.next = null;
            waiting.status = BlkifStatus.ERROR;
            end(waiting);
            waiting = next;
        }
        Consumer<String> listener = onBroken;
        if (listener != null) {
            listener.accept(reason);
        }
    }

    /// Gives the references back; those that the backend would not let go are quarantined already.
    void unclaimGrefs() {
        for (int i = 0; i < grefs.length; i++) {
            if (grefs[i] >= 0) {
                grants.unclaim(grefs[i]);
                grefs[i] = -1;
            }
        }
    }

    private void submitWaiting() {
        Transfer transfer = waitingHead;
        while (transfer != null && freeIdCount > 0 && !ring.isFull() && !isBroken()) {
            submit(transfer);
            if (transfer.allSubmitted) {
                waitingHead = transfer.next;
                if (waitingHead == null) {
                    waitingTail = null;
                }
                transfer.next = null;
                transfer = waitingHead;
            }
        }
        if (ring.pushRequestsAndCheckNotify()) {
            port.send();
        }
    }

    /// Puts the next request of a transfer on the ring: at most eleven pages of it.
    private void submit(Transfer transfer) {
        int id = freeIds[--freeIdCount];
        long slot = ring.slotOffset(ring.takeRequestIndex());
        MemorySegment shared = ring.segment();
        GuestBuffer buffer = transfer.buffer;
        int left = buffer == null ? 0 : transfer.sizeBytes - transfer.submittedBytes;
        int sizeBytes = Math.min(left, MAX_SEGMENTS * PAGE_SIZE);
        int pages = (sizeBytes + PAGE_SIZE - 1) / PAGE_SIZE;
        LAYOUT.writeRequest(
                shared,
                slot,
                transfer.operation,
                pages,
                handle,
                id,
                (transfer.offsetBytes + transfer.submittedBytes) / SECTOR_SIZE);
        operations[id] = (byte) transfer.operation;
        transfers[id] = transfer;
        segmentCounts[id] = pages;
        if (buffer != null) {
            int firstPage = buffer.firstPage() + transfer.submittedBytes / PAGE_SIZE;
            firstPages[id] = firstPage;
            boolean backendReadsOnly = transfer.operation != BlkifOp.READ;
            for (int i = 0; i < pages; i++) {
                int gref = grefs[id * MAX_SEGMENTS + i];
                grants.grant(gref, backend, poolFirstGfn + firstPage + i, backendReadsOnly);
                int bytesInPage = Math.min(PAGE_SIZE, sizeBytes - i * PAGE_SIZE);
                BlkifLayout.writeSegment(
                        shared,
                        LAYOUT.segmentOffset(slot, i),
                        gref,
                        0,
                        bytesInPage / SECTOR_SIZE - 1);
            }
        }
        transfer.submittedBytes += sizeBytes;
        transfer.outstanding++;
        transfer.allSubmitted = left == sizeBytes;
    }

    /// Matches the response in the private copy.
    private void take() {
        long wireId = LAYOUT.responseId(slotCopy, 0);
        int operation = LAYOUT.responseOperation(slotCopy, 0);
        int status = LAYOUT.responseStatus(slotCopy, 0);
        if (wireId < 0 || wireId >= operations.length) {
            breakDevice("response with an id out of range: " + Long.toUnsignedString(wireId));
            return;
        }
        int id = (int) wireId;
        Transfer transfer = transfers[id];
        if (operations[id] == FREE || transfer == null) {
            breakDevice("response to a request that is not outstanding: id " + id);
            return;
        }
        if (operations[id] != operation) {
            breakDevice(
                    "response of operation " + operation + " to a request of " + operations[id]);
            return;
        }
        if (!revoke(id)) {
            breakDevice("response before its pages were unmapped: id " + id);
            return;
        }
        operations[id] = FREE;
        transfers[id] = null;
        freeIds[freeIdCount++] = id;
        if (status != BlkifStatus.OKAY && transfer.status == BlkifStatus.OKAY) {
            transfer.status = status == BlkifStatus.EOPNOTSUPP ? status : BlkifStatus.ERROR;
        }
        transfer.outstanding--;
        if (transfer.outstanding == 0 && transfer.allSubmitted) {
            end(transfer);
        }
    }

    /// Takes the pages of a request back; on failure those that can be are back all the same.
    private boolean revoke(int id) {
        boolean all = true;
        for (int i = 0; i < segmentCounts[id]; i++) {
            all &= grants.tryRevoke(grefs[id * MAX_SEGMENTS + i]);
        }
        return all;
    }

    /// As [#revoke], and what the backend holds is put aside, so that nobody uses it again.
    private void revokeOrQuarantine(int id) {
        for (int i = 0; i < segmentCounts[id]; i++) {
            int place = id * MAX_SEGMENTS + i;
            if (!grants.tryRevoke(grefs[place])) {
                int page = firstPages[id] + i;
                grants.quarantine(grefs[place], poolFirstGfn + page);
                pool.lose(page);
                grefs[place] = -1;
            }
        }
    }

    private void end(Transfer transfer) {
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
                LOG.error("vbd {}: a completion failed", handle, e);
            }
        }
        if (liveTransfers == 0) {
            Runnable task = whenIdle;
            if (task != null) {
                whenIdle = null;
                task.run();
            }
        }
    }
}
