package org.splitring.netback;

import java.lang.foreign.MemorySegment;
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
/// On the network's loop.
final class RxQueue implements RingWork {
    /// How often a queue with waiting frames looks at the clock.
    private static final long CHECK_NANOS = 1_000_000_000L;

    /// The same for a frontend that sends no event for its slots (no `feature-rx-notify`).
    private static final long CHECK_SILENT_NANOS = 5_000_000L;

    private static final int MAX_SLOTS = 40; // 65557 bytes in pages of 2048, and extras

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
    private final GrantBatch batch = new GrantBatch(MAX_SLOTS);
    private final GrantCopies copies = new GrantCopies(MAX_SLOTS + 1 + Frame.MAX_PIECES);
    private final int[] firstCopies = new int[MAX_SLOTS + 1]; // of each slot of data
    private final long[] requests = new long[MAX_SLOTS];
    private final boolean[] refused = new boolean[MAX_SLOTS];
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
                if (frame.pieceCount() == 0) {
                    deliver(frame.header(), frame.headerStart(), size);
                } else if (pages.isCopyingCheaper()) {
                    deliverCopied(frame);
                } else {
                    deliverMapped(frame);
                }
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

    private void takeSlots(int count) {
        int index = ring.consumeRequestIndices(count);
        MemorySegment shared = ring.segment();
        for (int i = 0; i < count; i++) {
            requests[i] = NetifRxLayout.readSlot(shared, ring.slotOffset(index + i));
            NetifRxLayout.writeSlot(note.copies(), copyAt(index + i), requests[i]);
            refused[i] = false;
        }
        note.taken(index + count);
        available -= count;
    }

    /// Puts a frame that lies in one piece of private memory on the ring.
    private void deliver(MemorySegment from, long at, int size) {
        int dataSlots = dataSlots(size);
        int extras = extras();
        takeSlots(dataSlots + extras);
        for (int i = 0; i < dataSlots; i++) {
            int done = i * room();
            int length = Math.min(room(), size - done);
            int gref = grefOf(i, extras);
            int page = kept.find(gref, true);
            firstCopies[i] = copies.size();
            if (page == StaticGrants.NONE) {
                copies.add(gref, headroom, from, at + done, length);
            } else {
                MemorySegment.copy(
                        from, at + done, kept.memory(page), kept.offset(page) + headroom, length);
            }
        }
        respond(size, dataSlots, extras, copyListed(dataSlots, extras));
    }

    /// Puts a frame that lies in several pieces on the ring, by copies.
    private void deliverCopied(Frame frame) {
        int size = frame.sizeBytes();
        int dataSlots = dataSlots(size);
        int extras = extras();
        takeSlots(dataSlots + extras);
        for (int i = 0; i < dataSlots; i++) {
            int done = i * room();
            int length = Math.min(room(), size - done);
            int gref = grefOf(i, extras);
            int page = kept.find(gref, true);
            firstCopies[i] = copies.size();
            if (page == StaticGrants.NONE) {
                listPieces(frame, gref, done, length);
            } else {
                frame.copyTo(kept.memory(page), kept.offset(page) + headroom, done, length);
            }
        }
        respond(size, dataSlots, extras, copyListed(dataSlots, extras));
    }

    /// Puts copies of a part of a frame on the list, all to one page.
    private void listPieces(Frame frame, int gref, int from, int length) {
        int end = from + length;
        int at = from;
        if (at < frame.headerBytes()) {
            int n = Math.min(end, frame.headerBytes()) - at;
            copies.add(gref, headroom, frame.header(), frame.headerStart() + at, n);
            at += n;
        }
        int pieceAt = frame.headerBytes();
        for (int i = 0; at < end; i++) {
            int pieceEnd = pieceAt + frame.pieceBytes(i);
            if (at < pieceEnd) {
                int n = Math.min(end, pieceEnd) - at;
                copies.add(
                        gref,
                        headroom + at - from,
                        frame.pieceMemory(i),
                        frame.pieceOffset(i) + (at - pieceAt),
                        n);
                at += n;
            }
            pieceAt = pieceEnd;
        }
    }

    /// Copies what is on the list, and notes the slots of which some was refused.
    ///
    /// @return whether none was
    private boolean copyListed(int dataSlots, int extras) {
        if (copies.size() == 0) {
            return true;
        }
        boolean good = pages.copyTo(copies);
        firstCopies[dataSlots] = copies.size();
        for (int i = 0; !good && i < dataSlots; i++) {
            for (int copy = firstCopies[i]; copy < firstCopies[i + 1]; copy++) {
                refused[slotOf(i, extras)] |= copies.status(copy) != GrantStatus.OKAY;
            }
        }
        copies.clear();
        return good;
    }

    private int dataSlots(int sizeBytes) {
        return (sizeBytes + room() - 1) / room();
    }

    /// Of the frame that [#mark] belongs to.
    private int extras() {
        return mark.extras() + (headroom > 0 ? 1 : 0);
    }

    /// The extras come after the first slot of data.
    private static int slotOf(int dataSlot, int extras) {
        return dataSlot == 0 ? 0 : dataSlot + extras;
    }

    private int grefOf(int dataSlot, int extras) {
        return NetifRxLayout.grefOf(requests[slotOf(dataSlot, extras)]);
    }

    /// Puts a frame that lies in pages of another guest on the ring: the one copy of its payload.
    private void deliverMapped(Frame frame) {
        int size = frame.sizeBytes();
        int dataSlots = dataSlots(size);
        int extras = extras();
        takeSlots(dataSlots + extras);
        for (int i = 0; i < dataSlots; i++) {
            int gref = grefOf(i, extras);
            if (kept.find(gref, true) == StaticGrants.NONE) {
                batch.add(gref, true);
            }
        }
        boolean good = pages.map(batch);
        int element = 0;
        for (int i = 0; i < dataSlots; i++) {
            int done = i * room();
            int length = Math.min(room(), size - done);
            int page = kept.find(grefOf(i, extras), true);
            if (page != StaticGrants.NONE) {
                frame.copyTo(kept.memory(page), kept.offset(page) + headroom, done, length);
            } else if (batch.status(element) == GrantStatus.OKAY) {
                frame.copyTo(
                        batch.memory(element), batch.offset(element++) + headroom, done, length);
            } else {
                refused[slotOf(i, extras)] = true;
                element++;
            }
        }
        pages.unmap(batch); // before the responses
        batch.clear();
        respond(size, dataSlots, extras, good);
    }

    /// Writes the responses, each into the slot of its request.
    private void respond(int size, int dataSlots, int extras, boolean good) {
        blocked = false;
        MemorySegment shared = ring.segment();
        long slot = ring.slotOffset(ring.takeResponseIndices(dataSlots + extras));
        for (int i = 0; i < dataSlots; i++) {
            int place = slotOf(i, extras);
            int bytes = Math.min(room(), size - i * room());
            int flags = i < dataSlots - 1 ? NetifRxLayout.MORE_DATA : 0;
            if (i == 0) {
                flags |= mark.flags | (extras > 0 ? NetifRxLayout.EXTRA_INFO : 0);
            }
            NetifRxLayout.writeResponse(
                    shared,
                    slot,
                    NetifRxLayout.idOf(requests[place]),
                    headroom,
                    flags,
                    refused[place] ? NetifStatus.ERROR : bytes);
            slot = ring.nextSlotOffset(slot);
            if (i == 0 && extras > 0) {
                slot = writeExtras(shared, slot, extras);
            }
        }
        if (good) {
            VifCounters.add(counters.rxPackets, 1);
            VifCounters.add(counters.rxBytes, size);
        } else {
            VifCounters.add(counters.rxErrors, 1);
        }
    }

    private long writeExtras(MemorySegment shared, long firstSlot, int count) {
        long slot = firstSlot;
        int left = count;
        if (mark.gsoType != NetifExtraLayout.GSO_TYPE_NONE) {
            NetifExtraLayout.writeGso(shared, slot, more(--left), mark.gsoType, mark.gsoSizeBytes);
            slot = ring.nextSlotOffset(slot);
        }
        if (mark.hashType != 0) {
            NetifExtraLayout.writeHash(
                    shared,
                    slot,
                    more(--left),
                    Integer.numberOfTrailingZeros(mark.hashType),
                    NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ,
                    mark.hash);
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
        VifCounters.add(counters.rxExpired, before - backlog.frames());
        countBacklog();
        if (!backlog.isEmpty()) {
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
        carrier.changed(false);
        wake.run(); // asks for an event
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
