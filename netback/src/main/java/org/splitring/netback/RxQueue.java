package org.splitring.netback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.splitring.bridge.Frame;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantCopies;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.ring.RingBrokenException;
import org.splitring.wire.NetifCtrlLayout;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifRxLayout;
import org.splitring.wire.NetifStatus;

/// The way to the guest of one queue: puts frames into the pages that the frontend offers on the rx
/// ring. What finds no slots waits in a [RxBacklog]; polling it is the work behind the rx channel.
///
/// A frame takes a slot for each page of it and one for each extra, and each response goes into the
/// slot of its request: netfront goes by the slot. A stalled frontend is known by how long the
/// **first frame has waited**, not by whether there are slots: one that leaves a single slot while
/// the frame needs two is as stalled as one that leaves none (H-046). After
/// [VifTimeouts#drainNanos] a frame is dropped; after [VifTimeouts#stallNanos] without any progress
/// the carrier goes off, the backlog is emptied, and frames are refused, until there are slots
/// enough for the frame that was waited for.
///
/// Where copying pages costs less than mapping them, frames wait in private memory until [#flush],
/// and go to their pages in one call; else each goes to its pages when it comes.
///
/// On the network's loop.
final class RxQueue implements RingWork {
    /// How often a queue with waiting frames looks at the clock.
    private static final long CHECK_NANOS = 1_000_000_000L;

    /// The same for a frontend that sends no event for its slots (no `feature-rx-notify`).
    private static final long CHECK_SILENT_NANOS = 5_000_000L;

    /// Where pages are copied: how many frames go in one call, and their bytes.
    private static final int MAX_STAGED = 64;

    private static final int STAGING_BYTES = 256 << 10;

    private final BackRing ring;
    private final OrderedNote note;
    private final ForeignPages pages;
    private final StaticGrants kept;
    private final EventChannel channel;
    private final DeviceLoop loop;
    private final VifTimeouts timeouts;
    private final VifCounters counters;
    private final RxCarrier carrier;
    private final int headroom;
    private final boolean notifies;

    private final RxBacklog backlog = new RxBacklog();
    private final RxMark mark = new RxMark();
    private final GrantBatch batch = new GrantBatch(RxDelivery.MAX_SLOTS);
    private final boolean copying;
    private final GrantCopies copies;
    private final MemorySegment staging; // of frames that are copied: one after the other
    private final RxDelivery[] deliveries; // those of frames in staging, and the next one
    private int staged;
    private int stagedBytes;
    private final Runnable checkTask = this::check;

    private int available; // slots counted and not taken
    private boolean blocked; // no frame has been delivered since one had to wait
    private long blockedSince;
    private int countedFrames;
    private int countedBytes;
    private int neededAtStall;
    private boolean stalled;
    private boolean checkScheduled;
    private boolean closed;
    private boolean wakeWanted;
    private Runnable wake = () -> {};

    /// What hears of a stall.
    @FunctionalInterface
    interface RxCarrier {
        void changed(boolean on);
    }

    /// @param headroom bytes kept free in front of the data in each page (XDP)
    /// @param notifies whether the frontend sends events for its slots
    /// @param note of the ring; what a predecessor has left without an answer is given back
    RxQueue(
            BackRing ring,
            OrderedNote note,
            ForeignPages pages,
            StaticGrants kept,
            EventChannel channel,
            DeviceLoop loop,
            VifTimeouts timeouts,
            VifCounters counters,
            RxCarrier carrier,
            int headroom,
            boolean notifies) {
        this.ring = ring;
        this.note = note;
        this.pages = pages;
        this.kept = kept;
        this.channel = channel;
        this.loop = loop;
        this.timeouts = timeouts;
        this.counters = counters;
        this.carrier = carrier;
        this.headroom = headroom;
        this.notifies = notifies;
        copying = pages.isCopyingCheaper();
        copies = new GrantCopies(ring.entries()); // each is for a slot that was taken
        staging = copying ? Arena.ofAuto().allocate(STAGING_BYTES, 64) : MemorySegment.NULL;
        deliveries = new RxDelivery[copying ? MAX_STAGED : 1];
        Arrays.setAll(deliveries, i -> new RxDelivery(copying ? new RxMark() : mark));
        giveBack();
    }

    /// Answers the slots that a predecessor has taken, of which nobody knows what they hold: the
    /// frontend offers the pages anew.
    private void giveBack() {
        MemorySegment shared = ring.segment();
        for (int left = ring.unansweredRequests(); left > 0; left--) {
            int index = ring.takeResponseIndex();
            long request = NetifRxLayout.readSlot(note.copies(), copyAt(index));
            NetifRxLayout.writeResponse(
                    shared,
                    ring.slotOffset(index),
                    NetifRxLayout.idOf(request),
                    0,
                    0,
                    NetifStatus.ERROR);
        }
    }

    private long copyAt(int index) {
        return (long) (index & (ring.entries() - 1)) * NetifRxLayout.ENTRY_SIZE_BYTES;
    }

    /// What makes the poller of the rx channel run a pass, so that it asks for an event.
    void onWaiting(Runnable wakePoller) {
        wake = wakePoller;
    }

    /// Takes one frame: puts it on the ring, or into the backlog.
    ///
    /// @param hashType bit of the type of `hash` to be told to the frontend, 0 for none
    /// @return `false` when it is dropped
    boolean offer(Frame frame, int hashType, int hash) {
        if (stalled || closed) {
            VifCounters.add(counters.rxNotConnected, 1);
            return false;
        }
        mark.of(frame);
        mark.hashType = hashType;
        mark.hash = hash;
        int size = frame.sizeBytes();
        try {
            if (backlog.isEmpty() && hasSlots(slotsFor(size))) {
                deliver(frame);
                return true;
            }
        } catch (RingBrokenException e) {
            closed = true; // the poller meets it too, and closes the device
            wake.run();
            return false;
        }
        return addToBacklog(frame);
    }

    private boolean addToBacklog(Frame frame) {
        long now = loop.nanoTime();
        boolean first = backlog.isEmpty();
        if (!backlog.add(frame, mark, now)) {
            VifCounters.add(counters.rxDropped, 1);
            return false;
        }
        if (!blocked) {
            blocked = true;
            blockedSince = now;
        }
        if (first) {
            wakeWanted = true;
            scheduleCheck();
        }
        countBacklog();
        return true;
    }

    /// Publishes what was put on the ring.
    void flush() {
        completeStaged();
        note.publishing(ring.responseIndex());
        if (ring.pushResponsesAndCheckNotify()) {
            channel.send();
        }
        if (wakeWanted) {
            wakeWanted = false;
            wake.run();
        }
    }

    @Override
    public int poll(int budget) {
        int taken = 0;
        if (stalled && hasSlots(neededAtStall)) {
            stalled = false;
            carrier.changed(true);
        }
        while (taken < budget && !backlog.isEmpty()) {
            backlog.headMark(mark);
            int size = backlog.headSize();
            if (!hasSlots(slotsFor(size))) {
                break;
            }
            deliver(backlog.memory(), backlog.headPosition(), size);
            backlog.remove();
            taken++;
        }
        if (taken > 0) {
            countBacklog();
            flush();
        }
        return taken;
    }

    /// Asks for an event only while a frame waits.
    @Override
    public boolean finalCheck() {
        if (closed) {
            return ring.finalCheckForRequests(); // throws, as it did before
        }
        if (stalled) {
            return ring.finalCheckForRequests(neededAtStall);
        }
        if (backlog.isEmpty()) {
            return false;
        }
        backlog.headMark(mark);
        return ring.finalCheckForRequests(slotsFor(backlog.headSize()));
    }

    private int room() {
        return GuestMemory.PAGE_SIZE - headroom;
    }

    /// Of the frame of that size that [#mark] belongs to.
    private int slotsFor(int sizeBytes) {
        return dataSlots(sizeBytes) + extras();
    }

    private boolean hasSlots(int needed) {
        if (available < needed) {
            available = ring.unconsumedRequests();
        }
        return available >= needed;
    }

    /// Takes the slots for the frame that [#mark] belongs to.
    private RxDelivery begin(int sizeBytes) {
        RxDelivery next = deliveries[staged];
        next.begin(mark, sizeBytes, dataSlots(sizeBytes), extras());
        int count = next.slots();
        int index = ring.consumeRequestIndices(count);
        MemorySegment shared = ring.segment();
        for (int i = 0; i < count; i++) {
            next.requests[i] = NetifRxLayout.readSlot(shared, ring.slotOffset(index + i));
            NetifRxLayout.writeSlot(note.copies(), copyAt(index + i), next.requests[i]);
        }
        note.taken(index + count);
        available -= count;
        blocked = false;
        return next;
    }

    /// Bytes of the frame that go into a slot of data.
    private int length(RxDelivery of, int dataSlot) {
        return Math.min(room(), of.sizeBytes - dataSlot * room());
    }

    /// Puts a frame that lies in one piece of private memory on the ring.
    private void deliver(MemorySegment from, long at, int size) {
        if (copying) {
            makeRoom(size);
            MemorySegment.copy(from, at, staging, stagedBytes, size);
            stage(size);
        } else {
            RxDelivery next = begin(size);
            respond(next, copyNow(next, from, at));
        }
    }

    /// @return whether no slot is refused
    private boolean copyNow(RxDelivery next, MemorySegment from, long at) {
        boolean good = true;
        for (int i = 0; i < next.dataSlots; i++) {
            int gref = next.gref(i);
            long start = at + (long) i * room();
            int page = kept.find(gref, true);
            if (page != StaticGrants.NONE) {
                copyToKept(page, from, start, length(next, i));
            } else if (pages.copyTo(gref, headroom, from, start, length(next, i))
                    != GrantStatus.OKAY) {
                next.refuse(i);
                good = false;
            }
        }
        return good;
    }

    private void copyToKept(int page, MemorySegment from, long at, int sizeBytes) {
        MemorySegment.copy(from, at, kept.memory(page), kept.offset(page) + headroom, sizeBytes);
    }

    private void deliver(Frame frame) {
        if (frame.pieceCount() == 0) {
            deliver(frame.header(), frame.headerStart(), frame.sizeBytes());
        } else if (copying) {
            makeRoom(frame.sizeBytes());
            frame.copyTo(staging, stagedBytes, 0, frame.sizeBytes());
            stage(frame.sizeBytes());
        } else {
            deliverMapped(frame);
        }
    }

    private void makeRoom(int size) {
        if (staged == deliveries.length || size > staging.byteSize() - stagedBytes) {
            completeStaged();
        }
    }

    /// Takes slots for the frame that was put into [#staging]; it goes there with others, in one
    /// call.
    private void stage(int size) {
        list(begin(size));
        stagedBytes += size;
        staged++;
    }

    private void completeStaged() {
        if (staged > 0) {
            if (copies.size() > 0) {
                var ignored = pages.copyTo(copies); // each delivery looks at its own
            }
            for (int i = 0; i < staged; i++) {
                respond(deliveries[i], deliveries[i].settle(copies));
            }
            copies.clear();
            staged = 0;
            stagedBytes = 0;
        }
    }

    /// Puts what a staged frame's pages get on the list of copies; pages that are kept get it at
    /// once.
    private void list(RxDelivery next) {
        for (int i = 0; i < next.dataSlots; i++) {
            int gref = next.gref(i);
            long start = stagedBytes + (long) i * room();
            int page = kept.find(gref, true);
            if (page == StaticGrants.NONE) {
                next.copiedBy(i, copies.size());
                copies.add(gref, headroom, staging, start, length(next, i));
            } else {
                copyToKept(page, staging, start, length(next, i));
            }
        }
    }

    /// Puts a frame that lies in pages of another guest on the ring: the one copy of its payload.
    private void deliverMapped(Frame frame) {
        RxDelivery next = begin(frame.sizeBytes());
        for (int i = 0; i < next.dataSlots; i++) {
            if (kept.find(next.gref(i), true) == StaticGrants.NONE) {
                batch.add(next.gref(i), true);
            }
        }
        boolean good = pages.map(batch);
        int element = 0;
        for (int i = 0; i < next.dataSlots; i++) {
            int done = i * room();
            int page = kept.find(next.gref(i), true);
            if (page != StaticGrants.NONE) {
                frame.copyTo(
                        kept.memory(page), kept.offset(page) + headroom, done, length(next, i));
            } else if (batch.status(element) == GrantStatus.OKAY) {
                frame.copyTo(
                        batch.memory(element),
                        batch.offset(element++) + headroom,
                        done,
                        length(next, i));
            } else {
                next.refuse(i);
                element++;
            }
        }
        pages.unmap(batch); // before the responses
        batch.clear();
        respond(next, good);
    }

    private int dataSlots(int sizeBytes) {
        return (sizeBytes + room() - 1) / room();
    }

    /// Of the frame that [#mark] belongs to.
    private int extras() {
        return mark.extras() + (headroom > 0 ? 1 : 0);
    }

    /// Writes the responses, each into the slot of its request.
    private void respond(RxDelivery done, boolean good) {
        MemorySegment shared = ring.segment();
        long slot = ring.slotOffset(ring.takeResponseIndices(done.slots()));
        for (int i = 0; i < done.dataSlots; i++) {
            int flags = i < done.dataSlots - 1 ? NetifRxLayout.MORE_DATA : 0;
            if (i == 0) {
                flags |= done.mark.flags | (done.extras > 0 ? NetifRxLayout.EXTRA_INFO : 0);
            }
            NetifRxLayout.writeResponse(
                    shared,
                    slot,
                    NetifRxLayout.idOf(done.requests[done.slotOf(i)]),
                    headroom,
                    flags,
                    done.isRefused(i) ? NetifStatus.ERROR : length(done, i));
            slot = ring.nextSlotOffset(slot);
            if (i == 0 && done.extras > 0) {
                slot = writeExtras(shared, slot, done.mark, done.extras);
            }
        }
        if (good) {
            VifCounters.add(counters.rxPackets, 1);
            VifCounters.add(counters.rxBytes, done.sizeBytes);
        } else {
            VifCounters.add(counters.rxErrors, 1);
        }
    }

    private long writeExtras(MemorySegment shared, long firstSlot, RxMark of, int count) {
        long slot = firstSlot;
        int left = count;
        if (of.gsoType != NetifExtraLayout.GSO_TYPE_NONE) {
            NetifExtraLayout.writeGso(shared, slot, more(--left), of.gsoType, of.gsoSizeBytes);
            slot = ring.nextSlotOffset(slot);
        }
        if (of.hashType != 0) {
            NetifExtraLayout.writeHash(
                    shared,
                    slot,
                    more(--left),
                    Integer.numberOfTrailingZeros(of.hashType),
                    NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ,
                    of.hash);
            slot = ring.nextSlotOffset(slot);
        }
        if (headroom > 0) {
            NetifExtraLayout.writeXdp(shared, slot, more(--left), headroom);
            slot = ring.nextSlotOffset(slot);
        }
        return slot;
    }

    private static int more(int left) {
        return left > 0 ? NetifExtraLayout.FLAG_MORE : 0;
    }

    // Time.

    private void scheduleCheck() {
        if (!checkScheduled) {
            checkScheduled = true;
            var ignored = loop.schedule(checkTask, notifies ? CHECK_NANOS : CHECK_SILENT_NANOS);
        }
    }

    /// Drops what has waited too long, and finds a stalled frontend.
    private void check() {
        checkScheduled = false;
        if (closed || backlog.isEmpty()) {
            return;
        }
        if (!notifies) {
            wake.run(); // nobody else says that there are slots
        }
        long now = loop.nanoTime();
        long patience = notifies ? timeouts.drainNanos() : timeouts.silentDrainNanos();
        if (notifies && blocked && now - blockedSince >= timeouts.stallNanos()) {
            stall();
            return;
        }
        int before = backlog.frames();
        while (!backlog.isEmpty() && now - backlog.headArrival() >= patience) {
            backlog.remove();
        }
        int expired = before - backlog.frames();
        VifCounters.add(counters.rxExpired, expired);
        countBacklog();
        if (!backlog.isEmpty()) {
            if (expired > 0) {
                wake.run(); // the next may need fewer slots: there are enough, or it is their event
            }
            scheduleCheck();
        }
    }

    private void stall() {
        backlog.headMark(mark);
        neededAtStall = slotsFor(backlog.headSize());
        stalled = true;
        VifCounters.add(counters.stalls, 1);
        VifCounters.add(counters.rxExpired, backlog.frames());
        backlog.clear();
        blocked = false;
        countBacklog();
        carrier.changed(false); // the event for its slots is asked for, as it was the first
    }

    private void countBacklog() {
        // Several queues count together.
        VifCounters.add(counters.rxQueuedPackets, backlog.frames() - countedFrames);
        VifCounters.add(counters.rxQueuedBytes, backlog.bytes() - countedBytes);
        countedFrames = backlog.frames();
        countedBytes = backlog.bytes();
    }

    boolean isStalled() {
        return stalled;
    }

    /// Takes nothing more; what waits is dropped.
    void close() {
        closed = true;
        VifCounters.add(counters.rxNotConnected, backlog.frames());
        backlog.clear();
        countBacklog();
    }
}
