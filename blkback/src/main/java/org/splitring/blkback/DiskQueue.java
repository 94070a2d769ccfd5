package org.splitring.blkback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// The work of one ring: takes requests off it, moves sectors between disk and granted pages, and
/// answers each request exactly once.
///
/// What the page cache can serve is done on the loop, at once. What has to wait for storage goes to
/// the workers, and comes back through a list that the loop empties in one go. There are never more
/// requests in flight than the ring has slots ([BackRing] sees to that), so the table of them is
/// made at connect and nothing is allocated later.
///
/// **What a successor needs.** Each request has a place in the [QueueNote], which says when it was
/// taken and answered. What a predecessor has left without an answer is carried out first, in its
/// order: until the guest has the answer it makes no difference how often that is done.
///
/// **Barriers.** A barrier starts when every write that was taken before it is answered, and no
/// write that is taken after it starts before it is answered; what waits for that has its place in
/// the table already. What comes before is made stable, then its own data is written and made
/// stable. Reads and empty flushes pass: they have no order with writes that are under way.
///
/// On the loop, except where a method says otherwise.
final class DiskQueue implements RingWork {
    /// Requests with more than eleven pages that are under way at once on a vbd; others wait.
    static final int LARGE_REQUESTS = 8;

    /// Data moved on the loop after which its answers are published, whatever else is to be done.
    private static final long PUBLISH_BYTES = 64 << 10;

    /// Reads that are large enough for two processors to share in them.
    private static final long SHARED_BYTES = 1 << 20;

    private static final long SEGMENT_SIZE = BlkifLayout.SEGMENT.byteSize();

    private final BackRing ring;
    private final BlkifLayout layout;
    private final ForeignPages pages;
    private final EventChannel port;
    private final DiskImage disk;
    private final Executor workers;
    private final DeviceLoop loop;
    private final VbdCounters counters;
    private final VbdGate gate;
    private final RequestReader reader;
    private final QueueNote note;

    private final DiskRequest[] free;
    private int freeCount;
    private final DiskRequest[] answered; // and not published
    private int answeredCount;
    private final RequestLine unfinished = new RequestLine(); // by a predecessor
    private int inFlight;

    private final FinishedTransfers finished;
    private @Nullable Runnable whenIdle;

    // What changes the disk: how much is under way, and what a barrier keeps waiting, in order.
    private int changesInFlight;
    private @Nullable DiskRequest barrier;
    private boolean barrierStarted;
    private final RequestLine parked = new RequestLine();

    // Lists for indirect requests, and who waits for one.
    private @Nullable SegmentList freeLarge;
    private final RequestLine starved = new RequestLine();
    private final MemorySegment indirectCopy;

    private final PersistentGrants persistent;
    private final boolean keepsGrants;

    private long nanos; // the time when something last began or ended
    private boolean gaveLast; // of large reads
    private long unpublishedBytes; // moved on the loop, answered, and not told the frontend

    // What the gauges have of this ring.
    private int countedInFlight;
    private int countedPersistent;

    DiskQueue(
            BackRing ring,
            BlkifLayout layout,
            ForeignPages pages,
            EventChannel port,
            DiskImage disk,
            Executor workers,
            DeviceLoop loop,
            VbdCounters counters,
            VbdFeatures features,
            int largeRequests,
            VbdGate gate,
            QueueNote note) {
        this.ring = ring;
        this.layout = layout;
        this.pages = pages;
        this.port = port;
        this.disk = disk;
        this.workers = workers;
        this.loop = loop;
        this.counters = counters;
        this.gate = gate;
        this.reader = new RequestReader(layout, disk, features);
        this.note = note;
        this.finished = new FinishedTransfers(loop, this::answerFinished);
        this.free = new DiskRequest[ring.entries()];
        this.answered = new DiskRequest[ring.entries()];
        List<DiskRequest> found = new ArrayList<>();
        for (int place = 0; place < free.length; place++) {
            DiskRequest slot = new DiskRequest(this, disk, place, note.copy(place));
            if (note.isTaken(place)) {
                found.add(slot);
            } else {
                free[freeCount++] = slot;
            }
        }
        int next = ring.responseIndex() + ring.unansweredRequests();
        // The oldest first; a request can be much older than those that came after it.
        found.sort((a, b) -> Integer.compareUnsigned(age(b, next), age(a, next)));
        found.forEach(unfinished::add);
        this.persistent = new PersistentGrants(pages, features.maxPersistentGrants());
        this.keepsGrants = features.maxPersistentGrants() > 0;
        int largest = features.maxIndirectSegments();
        this.indirectCopy = Arena.ofAuto().allocate(Math.max(1, largest) * SEGMENT_SIZE, 8);
        for (int i = 0; largest > 0 && i < largeRequests; i++) {
            SegmentList list = new SegmentList(largest);
            list.next = freeLarge;
            freeLarge = list;
        }
    }

    private int age(DiskRequest found, int next) {
        return next - note.request(found.place);
    }

    @Override
    public int poll(int budget) {
        int taken = 0;
        nanos = loop.nanoTime();
        while (taken < budget && !unfinished.isEmpty() && !gate.isShut()) {
            start(unfinished.remove());
            taken++;
        }
        while (taken < budget) {
            int count = Math.min(ring.unconsumedRequests(), budget - taken);
            if (count == 0) {
                break;
            }
            int before = taken;
            while (taken < before + count && !gate.isShut()) {
                take();
                taken++;
                if (unpublishedBytes >= PUBLISH_BYTES) {
                    publish(); // so that the frontend goes on while we do
                }
            }
            if (taken < before + count) {
                break;
            }
        }
        if (taken > 0) {
            beginWaiting();
            countNow();
            publish();
        }
        return taken;
    }

    @Override
    public boolean finalCheck() {
        // A gate that is shut wakes the poller, also for what is unfinished.
        return !gate.isShut() && ring.finalCheckForRequests();
    }

    /// Requests taken and not answered yet, but for those that a predecessor has taken and that
    /// have not had their turn.
    int inFlight() {
        return inFlight;
    }

    /// Runs `task` when no request is in flight: now or after the last answer. Nothing polls the
    /// ring any more.
    void whenIdle(Runnable task) {
        beginWaiting(); // a pass that met a broken ring has not come to it
        countNow();
        if (inFlight == 0) {
            task.run();
        } else {
            whenIdle = task;
        }
    }

    /// Hands a request back from a worker or a flush. Any thread.
    void finished(DiskRequest request) {
        finished.add(request);
    }

    /// The write half of a flush with data. Any thread.
    void writeAfterFlush(DiskRequest request) {
        giveToWorker(request);
    }

    private void take() {
        if (freeCount == 0) {
            publish(); // a frontend has put more on the ring than answers that it can have seen
        }
        DiskRequest slot = free[--freeCount];
        // Slot to private memory once; everything after this line looks at the copy.
        note.taken(slot.place, ring.copyRequest(slot.copy));
        start(slot);
    }

    private void start(DiskRequest slot) {
        inFlight++;
        slot.written = false; // its place may have been a barrier's
        slot.takenNanos = nanos;
        CheckedRequest request = slot.request;
        gate.noteRequest();
        reader.read(slot.copy, request, slot.segments);
        if (request.status != BlkifStatus.OKAY) {
            answer(slot, request.status);
            return;
        }
        if (!changesDisk(request)) {
            begin(slot);
        } else if (barrier != null) {
            parked.add(slot);
        } else {
            beginChange(slot);
        }
    }

    private static boolean changesDisk(CheckedRequest request) {
        return switch (request.operation) {
            case BlkifOp.READ -> false;
            case BlkifOp.FLUSH_DISKCACHE -> request.sectors > 0;
            default -> true;
        };
    }

    private void beginChange(DiskRequest slot) {
        if (slot.request.operation == BlkifOp.WRITE_BARRIER) {
            barrier = slot;
            barrierStarted = false;
        } else {
            slot.changing = true;
            changesInFlight++;
            begin(slot);
        }
    }

    /// Starts what waited for a large list, a barrier whose time has come, and what waited for one
    /// that has ended. Not from within [#answer], so that a long row of these needs no stack.
    private void beginWaiting() {
        while (true) {
            while (freeLarge != null && !starved.isEmpty()) {
                begin(starved.remove());
            }
            DiskRequest waiting = barrier;
            if (waiting != null && !barrierStarted && changesInFlight == 0) {
                barrierStarted = true;
                begin(waiting);
            }
            if (barrier != null || parked.isEmpty()) {
                return;
            }
            beginChange(parked.remove());
        }
    }

    private void begin(DiskRequest slot) {
        CheckedRequest request = slot.request;
        if (request.indirectPages > 0) {
            if (request.segmentCount > slot.segments.capacity()) {
                SegmentList large = freeLarge;
                if (large == null) {
                    starved.add(slot);
                    return;
                }
                freeLarge = large.next;
                slot.segments = large;
            }
            if (!readIndirect(slot)) {
                answer(slot, BlkifStatus.ERROR);
                return;
            }
        }
        if (request.segmentCount > 0 && !map(slot)) {
            answer(slot, BlkifStatus.ERROR);
            return;
        }
        if (request.segmentCount > 0) { // the size of a discard says nothing about the work
            gate.noteData(request.sectors * DiskImage.SECTOR_SIZE);
        }
        switch (request.operation) {
            case BlkifOp.READ -> {
                VbdCounters.add(counters.rdReq, 1);
                VbdCounters.add(counters.rdSect, request.sectors);
                if (isForOthers(request.sectors * DiskImage.SECTOR_SIZE)) {
                    giveToWorker(slot);
                } else {
                    finishOrWait(slot, disk.tryRead(slot.segments.vector, slot.offsetBytes()));
                }
            }
            case BlkifOp.WRITE -> {
                VbdCounters.add(counters.wrReq, 1);
                VbdCounters.add(counters.wrSect, request.sectors);
                finishOrWait(slot, disk.tryWrite(slot.segments.vector, slot.offsetBytes()));
            }
            case BlkifOp.DISCARD -> {
                VbdCounters.add(counters.dsReq, 1);
                VbdCounters.add(counters.dsSect, request.sectors);
                giveToWorker(slot); // a large one takes its time
            }
            default -> { // a flush or a barrier: the reader lets nothing else through
                VbdCounters.add(counters.fReq, 1);
                VbdCounters.add(counters.wrSect, request.sectors);
                disk.flush(slot);
            }
        }
    }

    /// Whether a read is to be done beside the loop, although the page cache may have it: every
    /// other one of large reads, while the loop has another request to do and a processor is free.
    private boolean isForOthers(long sizeBytes) {
        if (sizeBytes < SHARED_BYTES || ring.unconsumedRequests() == 0 || loop.spinNanos() == 0) {
            return false;
        }
        gaveLast = !gaveLast;
        return gaveLast;
    }

    private void finishOrWait(DiskRequest slot, int outcome) {
        if (outcome == DiskImage.WOULD_BLOCK) {
            giveToWorker(slot);
        } else {
            VbdCounters.add(counters.inline, 1);
            nanos = loop.nanoTime();
            unpublishedBytes += slot.request.sectors * DiskImage.SECTOR_SIZE;
            answer(slot, DiskRequest.statusOf(outcome));
        }
    }

    private void giveToWorker(DiskRequest slot) {
        try {
            workers.execute(slot);
        } catch (RejectedExecutionException e) { // the workers are gone: closing down
            slot.status = BlkifStatus.ERROR;
            finished(slot);
        }
    }

    /// Copies the pages of segments once, and checks the copy.
    private boolean readIndirect(DiskRequest slot) {
        CheckedRequest request = slot.request;
        int left = request.segmentCount;
        for (int i = 0; i < request.indirectPages; i++) {
            int count = Math.min(left, BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE);
            long at = (long) i * BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE * SEGMENT_SIZE;
            int sizeBytes = (int) (count * SEGMENT_SIZE);
            int status = pages.copyFrom(request.indirectGrefs[i], 0, indirectCopy, at, sizeBytes);
            if (status != GrantStatus.OKAY) {
                return false;
            }
            left -= count;
        }
        return reader.readIndirectSegments(indirectCopy, request, slot.segments)
                == BlkifStatus.OKAY;
    }

    /// Maps the pages and lists their parts in order. Pieces become one only where they touch in
    /// our memory; what the frontend calls adjacent says nothing.
    private boolean map(DiskRequest slot) {
        CheckedRequest request = slot.request;
        SegmentList segments = slot.segments;
        // Reading the disk is writing the pages. What stays mapped may be used for either later.
        boolean forWriting = keepsGrants || request.operation == BlkifOp.READ;
        segments.pages.clear();
        segments.vector.clear();
        for (int i = 0; i < request.segmentCount; i++) {
            int kept = keepsGrants ? persistent.use(segments.grefs[i]) : -1;
            segments.persistentSlots[i] = kept;
            if (kept < 0) {
                segments.pages.add(segments.grefs[i], forWriting);
            }
        }
        segments.persistentCount = request.segmentCount;
        if (!mapMissing(segments)) {
            return false; // answer() unmaps those that were mapped
        }
        int missing = 0;
        for (int i = 0; i < request.segmentCount; i++) {
            int kept = segments.persistentSlots[i];
            MemorySegment memory;
            long offset;
            if (kept < 0) {
                memory = segments.pages.memory(missing);
                offset = segments.pages.offset(missing);
                if (keepsGrants) {
                    segments.persistentSlots[i] = persistent.adopt(segments.pages, missing);
                }
                missing++;
            } else {
                memory = persistent.memory(kept);
                offset = persistent.offset(kept);
            }
            segments.vector.add(
                    memory,
                    offset + (long) segments.firstSects[i] * DiskImage.SECTOR_SIZE,
                    (long) segments.sectorCounts[i] * DiskImage.SECTOR_SIZE);
        }
        return true;
    }

    private boolean mapMissing(SegmentList segments) {
        GrantBatch batch = segments.pages;
        if (batch.size() == 0 || pages.map(batch)) {
            return true;
        }
        boolean noSpace = false;
        for (int i = 0; i < batch.size(); i++) {
            noSpace |= batch.status(i) == GrantStatus.NO_SPACE;
        }
        if (noSpace) {
            VbdCounters.add(counters.ooReq, 1);
            persistent.giveUpUnused(); // the next one finds room
        }
        return false;
    }

    /// Nothing is in flight: what was kept mapped is given back.
    void unmapPersistent() {
        persistent.giveUpUnused();
        countNow();
    }

    private void answerFinished() {
        ImageTransfer next = finished.takeAll();
        nanos = loop.nanoTime();
        while (next != null) {
            DiskRequest request = (DiskRequest) next;
            next = request.nextFinished;
            request.nextFinished = null;
            answer(request, request.status);
        }
        beginWaiting();
        countNow();
        publish();
        Runnable idle = whenIdle;
        if (idle != null && inFlight == 0) {
            whenIdle = null;
            idle.run();
        }
    }

    private void answer(DiskRequest slot, int status) {
        SegmentList segments = slot.segments;
        if (segments.persistentCount > 0) {
            // Before the response: the frontend may reuse a page the moment it sees that.
            pages.unmap(segments.pages);
            segments.pages.clear();
            segments.vector.clear();
            for (int i = 0; keepsGrants && i < segments.persistentCount; i++) {
                if (segments.persistentSlots[i] >= 0) {
                    persistent.done(segments.persistentSlots[i]);
                }
            }
            segments.persistentCount = 0;
        }
        if (slot.request.status == BlkifStatus.OKAY) { // it was begun
            latency(slot.request.operation).record(nanos - slot.takenNanos);
        }
        if (segments != slot.ownSegments) {
            segments.next = freeLarge;
            freeLarge = segments;
            slot.segments = slot.ownSegments;
        }
        if (status != BlkifStatus.OKAY) {
            VbdCounters.add(counters.errors, 1);
        }
        if (slot == barrier) {
            barrier = null;
        } else if (slot.changing) {
            slot.changing = false;
            changesInFlight--;
        }
        int index = ring.takeResponseIndex();
        note.answered(slot.place, index);
        layout.writeResponse(
                ring.segment(),
                ring.slotOffset(index),
                slot.request.id,
                slot.request.operation,
                status);
        answered[answeredCount++] = slot;
        inFlight--;
    }

    private LatencyHistogram latency(int operation) {
        return switch (operation) {
            case BlkifOp.READ -> counters.readLatency;
            case BlkifOp.FLUSH_DISKCACHE -> counters.flushLatency;
            case BlkifOp.DISCARD -> counters.discardLatency;
            default -> counters.writeLatency;
        };
    }

    /// Other rings of the same device count into the same gauges.
    private void countNow() {
        VbdCounters.add(counters.inFlight, inFlight - countedInFlight);
        countedInFlight = inFlight;
        VbdCounters.add(counters.persistent, persistent.size() - countedPersistent);
        countedPersistent = persistent.size();
        gate.noteQuiet();
    }

    private void publish() {
        unpublishedBytes = 0;
        note.publishing(ring.responseIndex());
        if (ring.pushResponsesAndCheckNotify()) {
            port.send();
        }
        for (int i = 0; i < answeredCount; i++) {
            note.free(answered[i].place);
            free[freeCount++] = answered[i];
        }
        answeredCount = 0;
    }
}
