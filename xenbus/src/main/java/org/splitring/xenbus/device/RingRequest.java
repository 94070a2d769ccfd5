package org.splitring.xenbus.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GuestMemory;

/// One request that a backend has taken off its ring: the private copy of its slot, the pages that
/// it names, and the response.
///
/// Made when a frontend connects and used again for other requests. What is in [#bytes] was written
/// by a hostile guest, but it does not change any more: it is checked, and then used.
public final class RingRequest {
    private final BackendRing ring;
    private final ForeignPages pages;
    private final MemorySegment request;
    private final MemorySegment response;
    private final GrantBatch grants;
    private final AtomicBoolean open = new AtomicBoolean();

    /// Link of the ring's list of requests that were answered elsewhere.
    @Nullable RingRequest next;

    RingRequest(BackendRing ring, ForeignPages pages, RingShape shape) {
        this.ring = ring;
        this.pages = pages;
        Arena arena = Arena.ofAuto();
        request = arena.allocate(shape.entryBytes(), 8);
        response = arena.allocate(shape.responseBytes(), 8);
        grants = new GrantBatch(shape.grantsPerRequest());
    }

    /// The request as it was when it was taken.
    public MemorySegment bytes() {
        return request;
    }

    /// Where the response is written; zeroes at first. Whoever answers writes it before.
    public MemorySegment response() {
        return response;
    }

    /// Copies into a page that the frontend granted. On the loop.
    ///
    /// @param pageOffset offset in the page; with `sizeBytes` it must stay within 4096
    /// @return a [org.splitring.hypervisor.GrantStatus]; the guest's numbers are checked here
    public int copyTo(
            int gref, int pageOffset, MemorySegment from, long fromOffset, int sizeBytes) {
        return pages.copyTo(gref, pageOffset, from, fromOffset, sizeBytes);
    }

    /// Copies out of a page that the frontend granted. As [#copyTo].
    public int copyFrom(int gref, int pageOffset, MemorySegment to, long toOffset, int sizeBytes) {
        return pages.copyFrom(gref, pageOffset, to, toOffset, sizeBytes);
    }

    /// Maps a page until the answer; at most as many as the ring's shape says. On the loop.
    ///
    /// The frontend may change the bytes at any time, so they are copied before they are checked.
    ///
    /// @param forWriting whether we write into the page
    /// @return the page, or null when the grant was refused
    public @Nullable MemorySegment map(int gref, boolean forWriting) {
        int index = grants.size();
        if (index == grants.capacity()) {
            throw new IllegalStateException("more pages than the ring's shape has: " + index);
        }
        GrantBatch one = ring.oneGrant();
        one.clear();
        one.add(gref, forWriting);
        if (!pages.map(one)) {
            return null;
        }
        grants.add(gref, forWriting);
        grants.set(index, one.status(0), one.handle(0), one.memory(0), one.offset(0));
        return one.memory(0).asSlice(one.offset(0), GuestMemory.PAGE_SIZE);
    }

    /// Hands the response to the frontend, after its pages were unmapped. Once for each request;
    /// any thread. From the handler itself it goes out with the batch.
    ///
    /// @throws IllegalStateException when it was answered before
    public void answer() {
        if (!open.compareAndSet(true, false)) {
            throw new IllegalStateException("request answered twice: " + ring);
        }
        ring.answered(this);
    }

    /// A new request has come into it.
    void begin() {
        response.fill((byte) 0);
        open.set(true);
    }

    /// Ends a request that is never answered: its ring has broken.
    boolean abandon() {
        return open.compareAndSet(true, false);
    }

    /// Before the response: the frontend may use a page again the moment it sees that.
    void unmap() {
        if (grants.size() > 0) {
            pages.unmap(grants);
            grants.clear();
        }
    }
}
