package org.splitring.ring;

import static org.splitring.ring.SringLayout.REQ_EVENT;
import static org.splitring.ring.SringLayout.REQ_PROD;
import static org.splitring.ring.SringLayout.RING_OFFSET;
import static org.splitring.ring.SringLayout.RSP_EVENT;
import static org.splitring.ring.SringLayout.RSP_PROD;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/// The backend's end of a shared ring: takes requests off it and puts responses on it.
///
/// One thread (the device's loop) calls everything here. Requests are counted once for a pass
/// ([#unconsumedRequests]) and copied out one by one ([#copyRequest]). Each is answered exactly
/// once, in any order: [#takeResponseIndex], the fields into [#slot], and
/// [#pushResponsesAndCheckNotify] once for a batch.
///
/// The frontend may write anything at any moment into every byte of the ring. Our producer index
/// lives here and is not read back, the frontend's is checked before it is used, and there are
/// never more requests in flight than the ring has slots. Why these accesses order memory between
/// processes: `docs/notes/memory-model.md`.
///
/// Source: Xen `public/io/ring.h`.
public final class BackRing extends RingSpacing {
    private final MemorySegment sring;
    private final int entrySizeBytes;
    private final int mask;
    private final long endOffset;

    private int rspProdPvt;
    private int reqCons;
    private int rspProdPushed; // what we last stored in rsp_prod; the word itself is never read
    private int reqProdSeen; // the frontend's index of the last look, checked
    private long notifications;
    private boolean broken;
    private int brokenIndex;

    private BackRing(MemorySegment ring, int entrySizeBytes, int index) {
        this.mask = SringLayout.entriesIn(ring, entrySizeBytes) - 1;
        this.sring = ring;
        this.entrySizeBytes = entrySizeBytes;
        this.endOffset = RING_OFFSET + (mask + 1L) * entrySizeBytes;
        this.rspProdPvt = index;
        this.rspProdPushed = index;
        this.reqCons = index;
        this.reqProdSeen = index;
    }

    /// Attaches to a ring that the frontend has just initialised. Shared memory is not written.
    ///
    /// @param ring native memory of 1, 2, 4, 8 or 16 pages; the caller keeps it mapped
    /// @param entrySizeBytes size of the larger of request and response: the distance of slots
    public static BackRing init(MemorySegment ring, int entrySizeBytes) {
        return attach(ring, entrySizeBytes, 0);
    }

    /// Attaches to a ring that is in use. Shared memory is not written. Requests from `index` on
    /// that an earlier backend has taken and not answered are taken again.
    ///
    /// @param index where the next response goes
    public static BackRing attach(MemorySegment ring, int entrySizeBytes, int index) {
        return new BackRing(ring, entrySizeBytes, index);
    }

    /// Attaches to a ring where an earlier backend left it: at its `rsp_prod`, read once. All that
    /// a hostile frontend wins by changing that word is requests served again or not at all.
    ///
    /// @throws RingBrokenException when more requests are outstanding than the ring has slots
    public static BackRing attachLive(MemorySegment ring, int entrySizeBytes) {
        BackRing back = new BackRing(ring, entrySizeBytes, 0); // checks the memory before we read
        int rspProd = (int) RSP_PROD.getAcquire(ring);
        back.rspProdPvt = rspProd;
        back.rspProdPushed = rspProd;
        back.reqCons = rspProd;
        back.unconsumedRequests();
        return back;
    }

    /// Attaches to a ring where an earlier backend left it, as that one has noted in memory of its
    /// own; what the ring says of the backend's index is not believed. The index is published,
    /// which the earlier one may not have come to.
    ///
    /// @param rspProd where the next response goes
    /// @param unanswered how many requests were taken before, and have no response below `rspProd`:
    ///     at most [#entries]
    public static BackRing resume(
            MemorySegment ring, int entrySizeBytes, int rspProd, int unanswered) {
        BackRing back = new BackRing(ring, entrySizeBytes, rspProd);
        if (unanswered < 0 || unanswered > back.entries()) {
            throw new IllegalArgumentException("unanswered requests: " + unanswered);
        }
        back.reqCons = rspProd + unanswered;
        back.reqProdSeen = back.reqCons;
        RSP_PROD.setRelease(ring, rspProd);
        return back;
    }

    /// `RING_SIZE`: how many slots the ring has, a power of two.
    public int entries() {
        return mask + 1;
    }

    /// Distance of two slots.
    public int entrySizeBytes() {
        return entrySizeBytes;
    }

    /// The shared pages: for field access with [#slotOffset] as the base offset.
    public MemorySegment segment() {
        return sring;
    }

    /// Counts the requests that may be taken now. Reads the frontend's index once.
    ///
    /// @return at most the number of slots that no request in flight occupies
    /// @throws RingBrokenException when the frontend claims more requests than the ring has slots
    ///     for, or moved its index backwards; and from then on at every call
    public int unconsumedRequests() {
        // Acquire: the index before the request bytes. Pairs with the release in
        // FrontRing.pushRequestsAndCheckNotify.
        int reqProd = (int) REQ_PROD.getAcquire(sring);
        int count = reqProd - reqCons;
        int room = mask + 1 - (reqCons - rspProdPvt);
        // ring.h takes the smaller of count and room, after RING_REQUEST_PROD_OVERFLOW. More than
        // room is that overflow, and backwards is huge: one unsigned compare refuses both, and
        // what passes is the smaller one.
        if (Integer.compareUnsigned(count, room) > 0 || broken) {
            throw breakRing(reqProd);
        }
        reqProdSeen = reqProd;
        return count;
    }

    /// How many requests the last [#unconsumedRequests] has counted that were not taken since: as
    /// many may be taken without another look. A look takes the line with the indices away from
    /// the frontend, which is just writing to it.
    public int countedRequests() {
        return reqProdSeen - reqCons;
    }

    /// Copies the next request into private memory and moves on. A request is copied once; then
    /// the copy is checked, and only the copy is used.
    ///
    /// @param to receives a whole slot: at least [#entrySizeBytes] bytes
    /// @return the request's index
    /// @throws IllegalStateException when [#unconsumedRequests] has promised no more
    public int copyRequest(MemorySegment to) {
        int index = consumeRequestIndex();
        MemorySegment.copy(sring, slotOffset(index), to, 0, entrySizeBytes);
        return index;
    }

    /// Moves past the next request without copying it, for a reader that takes each field from
    /// shared memory exactly once, into a local.
    ///
    /// @return the request's index; its slot may be overwritten as soon as a response is put there
    /// @throws IllegalStateException when [#unconsumedRequests] has promised no more
    public int consumeRequestIndex() {
        int index = reqCons;
        if (index == reqProdSeen) {
            throw new IllegalStateException("request taken that was not counted: " + this);
        }
        reqCons = index + 1;
        return index;
    }

    /// Moves past the next `count` requests, as [#consumeRequestIndex] does past one.
    ///
    /// @return the first one's index; the others follow it
    /// @throws IllegalStateException when [#unconsumedRequests] has promised fewer
    public int consumeRequestIndices(int count) {
        int index = reqCons;
        if (Integer.compareUnsigned(count, reqProdSeen - index) > 0) {
            throw new IllegalStateException(count + " requests taken, not counted: " + this);
        }
        reqCons = index + count;
        return index;
    }

    /// Takes the next slot for a response. The frontend sees it after the next push.
    ///
    /// @return the response's index, for [#slot] or [#slotOffset]
    /// @throws IllegalStateException when every request taken is answered
    public int takeResponseIndex() {
        int index = rspProdPvt;
        if (index == reqCons) {
            throw new IllegalStateException("response without a request: " + this);
        }
        rspProdPvt = index + 1;
        return index;
    }

    /// Takes the next `count` slots for responses, as [#takeResponseIndex] does for one.
    ///
    /// @return the first one's index; the others follow it
    /// @throws IllegalStateException when fewer requests are unanswered
    public int takeResponseIndices(int count) {
        int index = rspProdPvt;
        if (Integer.compareUnsigned(count, reqCons - index) > 0) {
            throw new IllegalStateException(count + " responses without requests: " + this);
        }
        rspProdPvt = index + count;
        return index;
    }

    /// The slot of an index: shared memory, to be written and not to be read back.
    public MemorySegment slot(int index) {
        return sring.asSlice(slotOffset(index), entrySizeBytes);
    }

    /// Byte offset of an index's slot in [#segment].
    public long slotOffset(int index) {
        return RING_OFFSET + (long) (index & mask) * entrySizeBytes;
    }

    /// How many slots follow each other in memory from an index's slot on, itself included, before
    /// the ring goes on at its start: 1 to [#entries].
    public int slotsToEnd(int index) {
        return mask + 1 - (index & mask);
    }

    /// Byte offset of the slot that follows the one at `offset`: for loops over a batch, where it
    /// is cheaper than [#slotOffset] of each index.
    public long nextSlotOffset(long offset) {
        long next = offset + entrySizeBytes;
        return next == endOffset ? RING_OFFSET : next;
    }

    /// Where the next response goes: the index that the next push will publish.
    public int responseIndex() {
        return rspProdPvt;
    }

    /// What the last push has published, or where the ring was attached.
    public int publishedIndex() {
        return rspProdPushed;
    }

    /// Publishes every response put since the last push.
    ///
    /// @return `true` when the frontend wants waking; the caller then notifies its event channel
    public boolean pushResponsesAndCheckNotify() {
        int oldProd = rspProdPushed; // our copy: the one in shared memory is the peer's to change
        int newProd = rspProdPvt;
        if (newProd == oldProd || broken) {
            return false;
        }
        rspProdPushed = newProd;
        // Release: response bytes before the index. Pairs with the acquire in
        // FrontRing.unconsumedResponses.
        RSP_PROD.setRelease(sring, newProd);
        // Full fence: index store before event load. Pairs with the fence in
        // FrontRing.finalCheckForResponses. Without both, each side can miss the other's store and
        // sleep with work on the ring.
        VarHandle.fullFence();
        int rspEvent = (int) RSP_EVENT.getOpaque(sring);
        // Was rsp_event in (oldProd, newProd]? Unsigned, so it holds across the 2^32 wrap.
        if (Integer.compareUnsigned(newProd - rspEvent, newProd - oldProd) >= 0) {
            return false;
        }
        notifications++;
        return true;
    }

    /// `RING_FINAL_CHECK_FOR_REQUESTS`: before sleeping, asks for an event at the next request and
    /// looks again.
    ///
    /// @return `true` when there are requests after all: do not sleep
    /// @throws RingBrokenException as [#unconsumedRequests]
    public boolean finalCheckForRequests() {
        if (unconsumedRequests() != 0) {
            return true;
        }
        REQ_EVENT.setOpaque(sring, reqCons + 1);
        // Full fence: event store before index load. Pairs with the fence in
        // FrontRing.pushRequestsAndCheckNotify.
        VarHandle.fullFence();
        return unconsumedRequests() != 0;
    }

    /// As [#finalCheckForRequests], for a backend that can go on only with `wanted` requests at
    /// once: asks for an event when so many are there. The slots of a network's rx ring are taken
    /// like this, and a frontend that leaves one too few on it for ever wakes nobody.
    ///
    /// @param wanted 1 to [#entries]
    /// @return `true` when there are so many after all: do not sleep
    /// @throws RingBrokenException as [#unconsumedRequests]
    public boolean finalCheckForRequests(int wanted) {
        if (unconsumedRequests() >= wanted) {
            return true;
        }
        REQ_EVENT.setOpaque(sring, reqCons + wanted);
        // Full fence: event store before index load. Pairs with the fence in
        // FrontRing.pushRequestsAndCheckNotify.
        VarHandle.fullFence();
        return unconsumedRequests() >= wanted;
    }

    /// How many requests were taken and have no response yet: at most [#entries].
    public int unansweredRequests() {
        return reqCons - rspProdPvt;
    }

    /// Notes where the ring stands. Each word of shared memory is read once and only copied.
    public void look(RingLook to) {
        to.entries = mask + 1;
        to.reqProd = (int) REQ_PROD.getOpaque(sring);
        to.reqEvent = (int) REQ_EVENT.getOpaque(sring);
        to.rspProd = (int) RSP_PROD.getOpaque(sring);
        to.rspEvent = (int) RSP_EVENT.getOpaque(sring);
        to.reqCons = reqCons;
        to.rspProdPvt = rspProdPvt;
        to.rspProdPushed = rspProdPushed;
        to.notifications = notifications;
        to.broken = broken;
    }

    /// Whether the frontend has broken the ring: nothing is published or taken any more.
    public boolean isBroken() {
        return broken;
    }

    private RingBrokenException breakRing(int reqProd) {
        if (!broken) {
            broken = true;
            brokenIndex = reqProd;
        }
        return RingBrokenException.REQ_PROD;
    }

    /// Our indices, and the index that broke the ring: for the one log line about it.
    @Override
    public String toString() {
        String state =
                "BackRing[entries=%d, rsp_prod_pvt=%#x, pushed=%#x, req_cons=%#x"
                        .formatted(entries(), rspProdPvt, rspProdPushed, reqCons);
        return state + (broken ? ", broken by req_prod=%#x]".formatted(brokenIndex) : "]");
    }
}
