package org.splitring.blkfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.ring.RingBrokenException;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// The work of one ring, seen from the frontend: cuts transfers into requests, grants their
/// pages, and matches responses. It lives as long as its connection; the transfers live in a
/// [TransferQueue].
///
/// A ring request has a place in a private table; its number is the id on the wire. The
/// references for its pages come from a stack that was claimed at connect, so that granting is
/// two stores and revoking a compare-and-set ([PageGrants]). With more than eleven pages it is an
/// indirect one, where the backend takes such. What the backend says is believed only as far as
/// the table agrees: an id that is not out there, or an answer to another operation, breaks the
/// device (hostile catalogue H-007), and so does a page that is still mapped after its answer
/// (H-085).
///
/// All on the loop.
final class VbdQueue implements RingWork {
    private static final int SECTOR_SIZE = 512;
    private static final int PAGE_SIZE = BufferPool.PAGE_SIZE;
    private static final int MAX_SEGMENTS = BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;
    private static final byte FREE = -1;
    private static final byte NONE = -1;
    private static final int MAX_INDIRECT_SEGMENTS = VbdGeometry.MAX_INDIRECT_SEGMENTS;
    private static final long WAIT = -1;

    private final FrontRing ring;
    private final EventChannel port;
    private final PageGrants pageGrants;
    private final IndirectPages indirect;
    private final int handle;
    private final TransferQueue work;
    private final MemorySegment slotCopy;

    // The table of requests; a row for each id.
    private final byte[] operations; // FREE, or what was asked
    private final byte[] indirectPages; // of a request with a page of segments, or NONE
    private final int[] grefs; // of the pages of a request, from `row(id)` on
    private final @Nullable Transfer[] transfers;
    private final int[] segmentCounts;
    private final long[] starts; // where in its transfer a request begins, in bytes
    private final long[] sizes;
    private final int[] freeIds;
    private int freeIdCount;

    private final long[] sendNumbers;

    private int maxPages = MAX_SEGMENTS; // of a request
    private int flushOperation = BlkifOp.FLUSH_DISKCACHE;
    private boolean paused;
    private boolean closed;
    private @Nullable String brokenReason;
    private @Nullable Consumer<String> onBroken;
    private @Nullable Runnable whenQuiet;

    /// @param pageGrants of the pages that may be out at once
    /// @param indirect for requests with more than eleven pages
    /// @param work whose transfers go over this ring once it is attached there
    VbdQueue(
            FrontRing ring,
            EventChannel port,
            PageGrants pageGrants,
            IndirectPages indirect,
            int handle,
            TransferQueue work) {
        this.ring = ring;
        this.port = port;
        this.pageGrants = pageGrants;
        this.indirect = indirect;
        this.handle = handle;
        this.work = work;
        this.slotCopy = Arena.ofAuto().allocate(ring.entrySizeBytes(), 8);
        int ids = ring.entries();
        grefs = new int[ids * MAX_SEGMENTS + indirect.count() * MAX_INDIRECT_SEGMENTS];
        indirectPages = new byte[ids];
        Arrays.fill(indirectPages, NONE);
        operations = new byte[ids];
        Arrays.fill(operations, FREE);
        transfers = new Transfer[ids];
        segmentCounts = new int[ids];
        starts = new long[ids];
        sizes = new long[ids];
        sendNumbers = new long[ids];
        freeIds = new int[ids];
        for (int id = ids - 1; id >= 0; id--) {
            freeIds[freeIdCount++] = id;
        }
    }

    /// Sends what is sent from now on as the backend wants it.
    void useGeometry(VbdGeometry geometry) {
        maxPages = indirect.count() > 0 ? geometry.maxRequestPages() : MAX_SEGMENTS;
        flushOperation =
                geometry.flushByBarrier() ? BlkifOp.WRITE_BARRIER : BlkifOp.FLUSH_DISKCACHE;
    }

    /// @param listener is told once why the device has broken
    void onBroken(Consumer<String> listener) {
        onBroken = listener;
    }

    boolean isBroken() {
        return brokenReason != null;
    }

    /// Sends nothing more.
    void stopSending() {
        paused = true;
    }

    /// Sends nothing more, and runs `task` when everything that was sent is answered.
    void pause(Runnable task) {
        paused = true;
        if (isQuiet()) {
            task.run();
        } else {
            whenQuiet = task;
        }
    }

    private boolean isQuiet() {
        return freeIdCount == operations.length;
    }

    @Override
    public int poll(int budget) {
        int count = Math.min(ring.unconsumedResponses(), budget);
        if (count == 0) {
            return 0;
        }
        // What the answers lead to goes out together: one look at the peer for all.
        work.hold();
        try {
            for (int i = 0; i < count && !isOver(); i++) {
                ring.copyResponse(slotCopy);
                take();
            }
        } finally {
            work.letGo();
        }
        return isOver() ? 0 : count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }

    /// Ends the connection, after a last look at the answers. What was not answered goes back to
    /// the transfers.
    void close() {
        paused = true;
        try {
            while (!isOver() && poll(ring.entries()) > 0) {
                // All that is there.
            }
        } catch (RingBrokenException e) {
            breakDevice("ring: " + e.getMessage());
        }
        if (!isOver()) {
            closed = true;
            work.detach(this, unanswered(false));
        }
    }

    /// Ends the device, because the backend broke the protocol: every transfer ends with an
    /// error, once.
    void breakDevice(String reason) {
        if (isOver()) {
            return;
        }
        brokenReason = reason;
        work.detach(this, unanswered(true));
        work.endAll(reason);
        Consumer<String> listener = onBroken;
        if (listener != null) {
            listener.accept(reason);
        }
    }

    private boolean isOver() {
        return closed || isBroken();
    }

    /// Empties the table, in the order of sending.
    private List<TransferQueue.Leftover> unanswered(boolean forGood) {
        List<Integer> ids = new ArrayList<>();
        for (int id = 0; id < operations.length; id++) {
            if (operations[id] != FREE) {
                ids.add(id);
            }
        }
        ids.sort(Comparator.comparingLong(id -> sendNumbers[id]));
        List<TransferQueue.Leftover> found = new ArrayList<>();
        for (int id : ids) {
            Transfer transfer = transfers[id];
            if (transfer != null) {
                takePagesBack(id, transfer, forGood);
                found.add(
                        new TransferQueue.Leftover(
                                transfer, starts[id], sizes[id], sendNumbers[id]));
            }
            freeUp(id);
        }
        return found;
    }

    /// Where the references of a request that is in the table begin.
    private int row(int id) {
        int page = indirectPages[id];
        return page == NONE
                ? id * MAX_SEGMENTS
                : operations.length * MAX_SEGMENTS + page * MAX_INDIRECT_SEGMENTS;
    }

    private void freeUp(int id) {
        operations[id] = FREE;
        transfers[id] = null;
        if (indirectPages[id] != NONE) {
            indirect.giveBack(indirectPages[id]);
            indirectPages[id] = NONE;
        }
        freeIds[freeIdCount++] = id;
    }

    /// Sends what there is room for.
    void submitWaiting() {
        while (!paused && !isOver() && freeIdCount > 0 && !ring.isFull()) {
            TransferQueue.Leftover leftover = work.firstLeftover();
            if (leftover != null) {
                long sizeBytes = fitting(leftover.transfer(), leftover.sizeBytes());
                if (sizeBytes == WAIT) {
                    break;
                }
                work.sentOfFirstLeftover(sizeBytes);
                submit(leftover.transfer(), leftover.startBytes(), sizeBytes, leftover.number());
                continue;
            }
            Transfer transfer = work.firstWaiting();
            if (transfer == null) {
                break;
            }
            long left = transfer.sizeBytes - transfer.submittedBytes;
            long sizeBytes = fitting(transfer, left);
            if (sizeBytes == WAIT) {
                break;
            }
            submit(transfer, transfer.submittedBytes, sizeBytes, work.nextNumber());
            transfer.submittedBytes += sizeBytes;
            transfer.outstanding++;
            if (left == sizeBytes) {
                transfer.allSubmitted = true;
                work.removeFirstWaiting();
            }
        }
        if (!isOver() && ring.pushRequestsAndCheckNotify()) {
            port.send();
        }
    }

    /// How much of what is left of a transfer goes into one request now, or [#WAIT] for answers.
    private long fitting(Transfer transfer, long leftBytes) {
        if (transfer.buffer == null) {
            return leftBytes;
        }
        int pages = (int) Math.min((leftBytes + PAGE_SIZE - 1) / PAGE_SIZE, maxPages);
        if (pages > MAX_SEGMENTS && !indirect.isAvailable()) {
            return WAIT; // an indirect one is under way, so it will be
        }
        if (pages > pageGrants.available()) {
            if (!isQuiet() || pageGrants.available() == 0) {
                return WAIT; // those of another ring come back, and go out there
            }
            pages = pageGrants.available(); // there are no more than these
        }
        return Math.min(leftBytes, (long) pages * PAGE_SIZE);
    }

    /// Puts a request on the ring: pages of a transfer as [#fitting] says, or all of a discard.
    ///
    /// @param number its place in the order of sending, over all rings
    private void submit(Transfer transfer, long startBytes, long sizeBytes, long number) {
        int id = freeIds[--freeIdCount];
        long slot = ring.slotOffset(ring.takeRequestIndex());
        MemorySegment shared = ring.segment();
        GuestBuffer buffer = transfer.buffer;
        int pages = buffer == null ? 0 : (int) ((sizeBytes + PAGE_SIZE - 1) / PAGE_SIZE);
        int operation =
                transfer.operation == BlkifOp.FLUSH_DISKCACHE ? flushOperation : transfer.operation;
        long sector = (transfer.offsetBytes + startBytes) / SECTOR_SIZE;
        int indirectPage = pages > MAX_SEGMENTS ? indirect.take() : NONE;
        if (indirectPage != NONE) {
            LAYOUT.writeIndirect(shared, slot, operation, pages, handle, id, sector);
            LAYOUT.writeIndirectGref(shared, slot, 0, indirect.gref(indirectPage));
        } else if (operation == BlkifOp.DISCARD) {
            LAYOUT.writeDiscard(shared, slot, 0, handle, id, sector, sizeBytes / SECTOR_SIZE);
        } else {
            LAYOUT.writeRequest(shared, slot, operation, pages, handle, id, sector);
        }
        operations[id] = (byte) operation;
        indirectPages[id] = (byte) indirectPage;
        transfers[id] = transfer;
        segmentCounts[id] = pages;
        starts[id] = startBytes;
        sizes[id] = sizeBytes;
        sendNumbers[id] = number;
        if (buffer != null) {
            int firstPage = buffer.firstPage() + pagesIn(startBytes);
            boolean backendReadsOnly = transfer.operation != BlkifOp.READ;
            for (int i = 0; i < pages; i++) {
                int gref = pageGrants.grant(firstPage + i, backendReadsOnly);
                grefs[row(id) + i] = gref;
                int bytesInPage = (int) Math.min(PAGE_SIZE, sizeBytes - (long) i * PAGE_SIZE);
                int lastSect = bytesInPage / SECTOR_SIZE - 1;
                if (indirectPage != NONE) {
                    indirect.writeSegment(indirectPage, i, gref, lastSect);
                } else {
                    BlkifLayout.writeSegment(
                            shared, LAYOUT.segmentOffset(slot, i), gref, 0, lastSect);
                }
            }
        }
    }

    /// Whole pages of a transfer that has a buffer.
    private static int pagesIn(long bytes) {
        return (int) (bytes / PAGE_SIZE);
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
        // Linux answers an indirect request with the operation inside it, others with its own.
        boolean asIndirect = indirectPages[id] != NONE && operation == BlkifOp.INDIRECT;
        if (operations[id] != operation && !asIndirect) {
            breakDevice(
                    "response of operation " + operation + " to a request of " + operations[id]);
            return;
        }
        if (!revoke(id)) {
            breakDevice("response before its pages were unmapped: id " + id);
            return;
        }
        freeUp(id);
        if (status != BlkifStatus.OKAY && transfer.status == BlkifStatus.OKAY) {
            transfer.status = status == BlkifStatus.EOPNOTSUPP ? status : BlkifStatus.ERROR;
        }
        transfer.outstanding--;
        if (transfer.outstanding == 0 && transfer.allSubmitted) {
            work.end(transfer);
        }
        Runnable quiet = whenQuiet;
        if (quiet != null && isQuiet()) {
            whenQuiet = null;
            quiet.run();
        }
    }

    private boolean revoke(int id) {
        int row = row(id);
        return pageGrants.tryRevoke(grefs, row, row + segmentCounts[id]);
    }

    private void takePagesBack(int id, Transfer transfer, boolean forGood) {
        GuestBuffer buffer = transfer.buffer;
        for (int i = 0; buffer != null && i < segmentCounts[id]; i++) {
            int page = buffer.firstPage() + pagesIn(starts[id]) + i;
            pageGrants.takeBack(grefs[row(id) + i], page, forGood);
        }
    }
}
