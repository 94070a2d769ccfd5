package org.splitring.ring;

import static org.splitring.wire.FlexRingLayout.IN_CONS;
import static org.splitring.wire.FlexRingLayout.IN_PROD;
import static org.splitring.wire.FlexRingLayout.OUT_CONS;
import static org.splitring.wire.FlexRingLayout.OUT_PROD;

import java.lang.foreign.MemorySegment;
import org.splitring.wire.FlexRingLayout;

/// The two ends of a flexible ring, as 9pfs and pvcalls use it: an index page, and data pages of
/// which the first half is `in` and the second `out`, as the frontend sees it.
///
/// The order comes from our own negotiation and is given here; the `ring_order` word in the index
/// page is the frontend's to change and is not looked at. Attaching resets nothing; a new index
/// page is zeroed by the frontend before it is shown.
///
/// Source: Xen `public/io/ring.h`, `DEFINE_XEN_FLEX_RING`.
public final class FlexRing {
    private FlexRing() {}

    /// The frontend's end: reads `in`, writes `out`.
    ///
    /// @param data `1 << order` pages
    public static ByteRingEnd frontend(MemorySegment indexPage, MemorySegment data, int order) {
        int size = check(indexPage, data, order);
        return new ByteRingEnd(
                new ByteRingReader(indexPage, IN_CONS, IN_PROD, data.asSlice(0, size)),
                new ByteRingWriter(indexPage, OUT_CONS, OUT_PROD, data.asSlice(size, size)));
    }

    /// The backend's end: reads `out`, writes `in`.
    ///
    /// @param data `1 << order` pages
    public static ByteRingEnd backend(MemorySegment indexPage, MemorySegment data, int order) {
        int size = check(indexPage, data, order);
        return new ByteRingEnd(
                new ByteRingReader(indexPage, OUT_CONS, OUT_PROD, data.asSlice(size, size)),
                new ByteRingWriter(indexPage, IN_CONS, IN_PROD, data.asSlice(0, size)));
    }

    private static int check(MemorySegment indexPage, MemorySegment data, int order) {
        int size = FlexRingLayout.ringSizeBytes(order);
        SringLayout.checkPage(indexPage, FlexRingLayout.REF + (4L << order));
        SringLayout.checkPage(data, 2L * size);
        if (data.byteSize() != 2L * size) {
            throw new IllegalArgumentException(
                    "data of " + data.byteSize() + " bytes for a ring of order " + order);
        }
        return size;
    }
}
