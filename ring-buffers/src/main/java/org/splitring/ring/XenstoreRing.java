package org.splitring.ring;

import static org.splitring.wire.XenstoreRingLayout.REQ;
import static org.splitring.wire.XenstoreRingLayout.REQ_CONS;
import static org.splitring.wire.XenstoreRingLayout.REQ_PROD;
import static org.splitring.wire.XenstoreRingLayout.RING_SIZE_BYTES;
import static org.splitring.wire.XenstoreRingLayout.RSP;
import static org.splitring.wire.XenstoreRingLayout.RSP_CONS;
import static org.splitring.wire.XenstoreRingLayout.RSP_PROD;

import java.lang.foreign.MemorySegment;
import org.splitring.wire.XenstoreRingLayout;

/// The two ends of the xenstore page. Attaching resets nothing; a new page is zeroed by whoever
/// makes it.
public final class XenstoreRing {
    private XenstoreRing() {}

    /// The domain's end: reads responses and watch events, writes requests.
    public static ByteRingEnd domain(MemorySegment page) {
        check(page);
        return new ByteRingEnd(
                new ByteRingReader(page, RSP_CONS, RSP_PROD, page.asSlice(RSP, RING_SIZE_BYTES)),
                new ByteRingWriter(page, REQ_CONS, REQ_PROD, page.asSlice(REQ, RING_SIZE_BYTES)));
    }

    /// The store's end: reads requests, writes responses and watch events.
    public static ByteRingEnd store(MemorySegment page) {
        check(page);
        return new ByteRingEnd(
                new ByteRingReader(page, REQ_CONS, REQ_PROD, page.asSlice(REQ, RING_SIZE_BYTES)),
                new ByteRingWriter(page, RSP_CONS, RSP_PROD, page.asSlice(RSP, RING_SIZE_BYTES)));
    }

    /// The store's end after it has put all four indices back to 0, as it does when a domain asks
    /// for that in the word `connection`.
    public static ByteRingEnd storeReset(MemorySegment page) {
        check(page);
        for (long index : new long[] {REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD}) {
            ByteRingReader.INDEX.setRelease(page, index, 0);
        }
        return new ByteRingEnd(
                new ByteRingReader(page, REQ_CONS, REQ_PROD, page.asSlice(REQ, RING_SIZE_BYTES), 0),
                new ByteRingWriter(
                        page, RSP_CONS, RSP_PROD, page.asSlice(RSP, RING_SIZE_BYTES), 0));
    }

    private static void check(MemorySegment page) {
        SringLayout.checkPage(page, XenstoreRingLayout.PAGE.byteSize());
    }
}
