package org.splitring.blkfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.ring.RingBrokenException;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// The work of one ring, seen from the frontend: cuts transfers into requests, grants their pages,
/// and matches responses. It lives as long as its connection; the transfers live in a
/// [TransferQueue].
///
/// A ring request has a place in a private table; its number is the id on the wire. A place has its
/// own eleven grant references, claimed at connect, so that granting is two stores and revoking a
/// compare-and-set. What the backend says is believed only as far as the table agrees: an id that
/// is not out there, or an answer to another operation, breaks the device
/// (hostile catalogue H-007), and so does a page that is still mapped after its answer (H-085).
///
/// All on the loop.
final class VbdQueue implements RingWork {
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
    private final TransferQueue work;
    private final MemorySegment slotCopy;

    // The table of requests; a row for each id.
    private final int[] grefs;
    private final byte[] operations; // FREE, or what was asked
    private final @Nullable Transfer[] transfers;
    private final int[] segmentCounts;
    private final long[] starts; // where in its transfer a request begins, in bytes
    private final long[] sizes;
    private final int[] freeIds;
    private int freeIdCount;

    private final long[] sendNumbers;
    private long sent;

    private int flushOperation = BlkifOp.FLUSH_DISKCACHE;
    private boolean paused;
    private boolean closed;
    private @Nullable String brokenReason;
    private @Nullable Consumer<String> onBroken;
    private @Nullable Runnable whenQuiet;

    /// @param grefs claimed references, eleven for each request that may be out at once
    /// @param work whose transfers go over this ring once it is attached there
    VbdQueue(
            FrontRing ring,
            EventChannel port,
            GrantTable grants,
            int[] grefs,
            DomId backend,
            int handle,
            TransferQueue work) {
        this.ring = ring;
        this.port = port;
        this.grants = grants;
        this.grefs = grefs;
        this.backend = backend;
        this.handle = handle;
        this.work = work;
        this.slotCopy = Arena.ofAuto().allocate(ring.entrySizeBytes(), 8);
        int ids = Math.min(ring.entries(), grefs.length / MAX_SEGMENTS);
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
        for (int i = 0; i < count; i++) {
            ring.copyResponse(slotCopy);
            take();
            if (isOver()) {
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

    /// Ends the device, because the backend broke the protocol: every transfer ends with an error,
    /// once.
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
                found.add(new TransferQueue.Leftover(transfer, starts[id], sizes[id]));
            }
            operations[id] = FREE;
            transfers[id] = null;
            freeIds[freeIdCount++] = id;
        }
        return found;
    }

    /// Gives the references back; those that the backend would not let go were put aside.
    void unclaimGrefs() {
        for (int i = 0; i < grefs.length; i++) {
            if (grefs[i] >= 0) {
                grants.unclaim(grefs[i]);
                grefs[i] = -1;
            }
        }
    }

    /// Sends what there is room for.
    void submitWaiting() {
        while (!paused && !isOver() && freeIdCount > 0 && !ring.isFull()) {
            if (work.hasLeftovers()) {
                TransferQueue.Leftover leftover = work.pollLeftover();
                if (leftover != null) {
                    submit(leftover.transfer(), leftover.startBytes(), leftover.sizeBytes());
                }
                continue;
            }
            Transfer transfer = work.firstWaiting();
            if (transfer == null) {
                break;
            }
            long left = transfer.sizeBytes - transfer.submittedBytes;
            long sizeBytes =
                    transfer.operation == BlkifOp.DISCARD
                            ? left
                            : Math.min(left, MAX_SEGMENTS * PAGE_SIZE);
            submit(transfer, transfer.submittedBytes, sizeBytes);
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

    /// Puts a request on the ring: at most eleven pages of a transfer, or all of a discard.
    private void submit(Transfer transfer, long startBytes, long sizeBytes) {
        int id = freeIds[--freeIdCount];
        long slot = ring.slotOffset(ring.takeRequestIndex());
        MemorySegment shared = ring.segment();
        GuestBuffer buffer = transfer.buffer;
        int pages = buffer == null ? 0 : (int) ((sizeBytes + PAGE_SIZE - 1) / PAGE_SIZE);
        int operation =
                transfer.operation == BlkifOp.FLUSH_DISKCACHE
                        ? flushOperation
                        : transfer.operation;
        long sector = (transfer.offsetBytes + startBytes) / SECTOR_SIZE;
        if (operation == BlkifOp.DISCARD) {
            LAYOUT.writeDiscard(shared, slot, 0, handle, id, sector, sizeBytes / SECTOR_SIZE);
        } else {
            LAYOUT.writeRequest(shared, slot, operation, pages, handle, id, sector);
        }
        operations[id] = (byte) operation;
        transfers[id] = transfer;
        segmentCounts[id] = pages;
        starts[id] = startBytes;
        sizes[id] = sizeBytes;
        sendNumbers[id] = sent++;
        if (buffer != null) {
            int firstGfn = work.poolFirstGfn() + buffer.firstPage() + pagesIn(startBytes);
            boolean backendReadsOnly = transfer.operation != BlkifOp.READ;
            for (int i = 0; i < pages; i++) {
                int gref = grefs[id * MAX_SEGMENTS + i];
                grants.grant(gref, backend, firstGfn + i, backendReadsOnly);
                int bytesInPage = (int) Math.min(PAGE_SIZE, sizeBytes - i * PAGE_SIZE);
                BlkifLayout.writeSegment(
                        shared,
                        LAYOUT.segmentOffset(slot, i),
                        gref,
                        0,
                        bytesInPage / SECTOR_SIZE - 1);
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
            work.end(transfer);
        }
        Runnable quiet = whenQuiet;
        if (quiet != null && isQuiet()) {
            whenQuiet = null;
            quiet.run();
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

    /// As [#revoke], and what the backend holds is put aside: for good, or until it lets go.
    private void takePagesBack(int id, Transfer transfer, boolean forGood) {
        GuestBuffer buffer = transfer.buffer;
        for (int i = 0; buffer != null && i < segmentCounts[id]; i++) {
            int place = id * MAX_SEGMENTS + i;
            if (!grants.tryRevoke(grefs[place])) {
                int page = buffer.firstPage() + pagesIn(starts[id]) + i;
                if (forGood) {
                    grants.quarantine(grefs[place], work.poolFirstGfn() + page);
                    work.pool().lose(page);
                } else {
                    work.hold(grants, grefs[place], page);
                }
                grefs[place] = -1;
            }
        }
    }
}
