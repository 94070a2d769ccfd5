package org.splitring.ring;

import static org.splitring.ring.SringLayout.REQ_EVENT;
import static org.splitring.ring.SringLayout.REQ_PROD;
import static org.splitring.ring.SringLayout.RING_OFFSET;
import static org.splitring.ring.SringLayout.RSP_EVENT;
import static org.splitring.ring.SringLayout.RSP_PROD;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/// The frontend's end of a shared ring: puts requests on it and takes responses off it.
///
/// One thread (the device's loop) calls everything here. A request is written in three steps:
/// [#takeRequestIndex] after a look at [#freeRequests], the fields into [#slot], and
/// [#pushRequestsAndCheckNotify] once for a batch. Responses are counted once for a pass
/// ([#unconsumedResponses]) and copied out one by one ([#copyResponse]).
///
/// What the backend may have scribbled is never believed: our producer index lives here and is
/// not read back, and the backend's is checked against the requests that are outstanding. Why
/// these accesses order memory between processes: `docs/notes/memory-model.md`.
///
/// Source: Xen `public/io/ring.h`.
public final class FrontRing extends RingSpacing {
    private final MemorySegment sring;
    private final int entrySizeBytes;
    private final int mask;
    private final long endOffset;

    private int reqProdPvt;
    private int rspCons;
    private int reqProdPushed; // what we last stored in req_prod; the word itself is never read
    private int rspProdSeen; // the backend's index of the last look, checked
    private boolean broken;
    private int brokenIndex;

    private FrontRing(MemorySegment ring, int entrySizeBytes, int reqProd, int rspCons) {
        this.mask = SringLayout.entriesIn(ring, entrySizeBytes) - 1;
        this.sring = ring;
        this.entrySizeBytes = entrySizeBytes;
        this.endOffset = RING_OFFSET + (mask + 1L) * entrySizeBytes;
        this.reqProdPvt = reqProd;
        this.reqProdPushed = reqProd;
        this.rspCons = rspCons;
        this.rspProdSeen = rspCons;
    }

    /// Makes an empty ring in our own pages and attaches to it, before the backend is told of it.
    ///
    /// @param ring native memory of 1, 2, 4, 8 or 16 pages; the caller keeps it alive
    /// @param entrySizeBytes size of the larger of request and response: the distance of slots
    public static FrontRing init(MemorySegment ring, int entrySizeBytes) {
        FrontRing front = new FrontRing(ring, entrySizeBytes, 0, 0);
        SringLayout.init(ring);
        return front;
    }

    /// Attaches to a ring that is in use and has nothing outstanding, and resets nothing.
    ///
    /// @param index where both of the ring's producers stand
    public static FrontRing attach(MemorySegment ring, int entrySizeBytes, int index) {
        return new FrontRing(ring, entrySizeBytes, index, index);
    }

    /// Attaches to a ring with requests outstanding, and resets nothing.
    ///
    /// @param reqProd index of the next request: what was last pushed
    /// @param rspCons index of the next response to take; at most a ring's length behind `reqProd`
    public static FrontRing attach(
            MemorySegment ring, int entrySizeBytes, int reqProd, int rspCons) {
        FrontRing front = new FrontRing(ring, entrySizeBytes, reqProd, rspCons);
        if (front.freeRequests() < 0 || front.freeRequests() > front.entries()) {
            throw new IllegalArgumentException(
                    "reqProd %#x and rspCons %#x in a ring of %d"
                            .formatted(reqProd, rspCons, front.entries()));
        }
        return front;
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

    /// `RING_FREE_REQUESTS`: how many requests may be taken before responses must be consumed.
    public int freeRequests() {
        return entries() - (reqProdPvt - rspCons);
    }

    /// `RING_FULL`: no request may be taken.
    public boolean isFull() {
        return reqProdPvt - rspCons == entries();
    }

    /// Takes the next free slot for a request. The backend sees it after the next push.
    ///
    /// @return the request's index, for [#slot] or [#slotOffset]
    /// @throws IllegalStateException when the ring is full: see [#freeRequests]
    public int takeRequestIndex() {
        int index = reqProdPvt;
        if (index - rspCons > mask) {
            throw new IllegalStateException("request taken from a full ring: " + this);
        }
        reqProdPvt = index + 1;
        return index;
    }

    /// Takes the next `count` free slots for requests, as [#takeRequestIndex] does for one.
    ///
    /// @return the first one's index; the others follow it
    /// @throws IllegalStateException when fewer are free: see [#freeRequests]
    public int takeRequestIndices(int count) {
        int index = reqProdPvt;
        if (Integer.compareUnsigned(count, mask + 1 - (index - rspCons)) > 0) {
            throw new IllegalStateException(count + " requests taken from a full ring: " + this);
        }
        reqProdPvt = index + count;
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

    /// Publishes every request taken since the last push.
    ///
    /// @return `true` when the backend wants waking; the caller then notifies its event channel
    public boolean pushRequestsAndCheckNotify() {
        int oldProd = reqProdPushed; // our copy: the one in shared memory is the peer's to change
        int newProd = reqProdPvt;
        if (newProd == oldProd || broken) {
            return false;
        }
        reqProdPushed = newProd;
        // Release: request bytes before the index. Pairs with the acquire in
        // BackRing.unconsumedRequests.
        REQ_PROD.setRelease(sring, newProd);
        // Full fence: index store before event load. Pairs with the fence in
        // BackRing.finalCheckForRequests. Without both, each side can miss the other's store and
        // sleep with work on the ring.
        VarHandle.fullFence();
        int reqEvent = (int) REQ_EVENT.getOpaque(sring);
        // Was req_event in (oldProd, newProd]? Unsigned, so it holds across the 2^32 wrap.
        return Integer.compareUnsigned(newProd - reqEvent, newProd - oldProd) < 0;
    }

    /// Counts the responses that may be taken now. Reads the backend's index once.
    ///
    /// @throws RingBrokenException when the backend claims to have answered more than is
    ///     outstanding, or moved its index backwards; and from then on at every call
    public int unconsumedResponses() {
        // Acquire: the index before the response bytes. Pairs with the release in
        // BackRing.pushResponsesAndCheckNotify.
        int rspProd = (int) RSP_PROD.getAcquire(sring);
        int count = rspProd - rspCons;
        // One unsigned compare refuses too many and backwards (which is huge) alike. It is
        // stricter than RING_RESPONSE_PROD_OVERFLOW: what was not asked cannot be answered.
        if (Integer.compareUnsigned(count, reqProdPushed - rspCons) > 0 || broken) {
            throw breakRing(rspProd);
        }
        rspProdSeen = rspProd;
        return count;
    }

    /// Copies the next response into private memory and moves on. A response is copied once; then
    /// the copy is checked, and only the copy is used.
    ///
    /// @param to receives a whole slot: at least [#entrySizeBytes] bytes
    /// @throws IllegalStateException when [#unconsumedResponses] has promised no more
    public void copyResponse(MemorySegment to) {
        MemorySegment.copy(sring, slotOffset(consumeResponseIndex()), to, 0, entrySizeBytes);
    }

    /// Moves past the next response without copying it, for a reader that takes each field from
    /// shared memory exactly once, into a local.
    ///
    /// @return the response's index; its slot may be overwritten as soon as it is reused for a
    ///     request
    /// @throws IllegalStateException when [#unconsumedResponses] has promised no more
    public int consumeResponseIndex() {
        int index = rspCons;
        if (index == rspProdSeen) {
            throw new IllegalStateException("response taken that was not counted: " + this);
        }
        rspCons = index + 1;
        return index;
    }

    /// Moves past the next `count` responses, as [#consumeResponseIndex] does past one.
    ///
    /// @return the first one's index; the others follow it
    /// @throws IllegalStateException when [#unconsumedResponses] has promised fewer
    public int consumeResponseIndices(int count) {
        int index = rspCons;
        if (Integer.compareUnsigned(count, rspProdSeen - index) > 0) {
            throw new IllegalStateException(count + " responses taken, not counted: " + this);
        }
        rspCons = index + count;
        return index;
    }

    /// `RING_FINAL_CHECK_FOR_RESPONSES`: before sleeping, asks for an event at the next response
    /// and looks again.
    ///
    /// @return `true` when there are responses after all: do not sleep
    /// @throws RingBrokenException as [#unconsumedResponses]
    public boolean finalCheckForResponses() {
        if (unconsumedResponses() != 0) {
            return true;
        }
        RSP_EVENT.setOpaque(sring, rspCons + 1);
        // Full fence: event store before index load. Pairs with the fence in
        // BackRing.pushResponsesAndCheckNotify.
        VarHandle.fullFence();
        return unconsumedResponses() != 0;
    }

    /// As [#finalCheckForResponses], for a frontend that wants to be woken only when `wanted`
    /// responses are there: one event for many of them.
    ///
    /// @param wanted 1 to [#entries]; at most [#outstandingRequests], or no event comes
    /// @return `true` when there are so many after all: do not sleep
    /// @throws RingBrokenException as [#unconsumedResponses]
    public boolean finalCheckForResponses(int wanted) {
        if (unconsumedResponses() >= wanted) {
            return true;
        }
        RSP_EVENT.setOpaque(sring, rspCons + wanted);
        // Full fence: event store before index load. Pairs with the fence in
        // BackRing.pushResponsesAndCheckNotify.
        VarHandle.fullFence();
        return unconsumedResponses() >= wanted;
    }

    /// How many pushed requests have no response taken yet.
    public int outstandingRequests() {
        return reqProdPushed - rspCons;
    }

    /// Whether the backend has broken the ring: nothing is published or taken any more.
    public boolean isBroken() {
        return broken;
    }

    private RingBrokenException breakRing(int rspProd) {
        if (!broken) {
            broken = true;
            brokenIndex = rspProd;
        }
        return RingBrokenException.RSP_PROD;
    }

    /// Our indices, and the index that broke the ring: for the one log line about it.
    @Override
    public String toString() {
        String state =
                "FrontRing[entries=%d, req_prod_pvt=%#x, pushed=%#x, rsp_cons=%#x"
                        .formatted(entries(), reqProdPvt, reqProdPushed, rspCons);
        return state + (broken ? ", broken by rsp_prod=%#x]".formatted(brokenIndex) : "]");
    }
}
