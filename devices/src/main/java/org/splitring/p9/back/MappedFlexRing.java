package org.splitring.p9.back;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.ring.ByteRingEnd;
import org.splitring.ring.FlexRing;
import org.splitring.wire.FlexRingLayout;
import org.splitring.xenbus.KeyException;

/// A flexible ring of a guest, mapped: the index page, and the data pages that it names.
record MappedFlexRing(MemorySegment indexPage, MemorySegment data, int order) {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// Maps it. The order and the references are read once, here.
    ///
    /// @param where names the ring in messages
    /// @throws KeyException when the order is more than was offered
    /// @throws GrantException when a page is refused; then none is mapped
    static MappedFlexRing map(ForeignPages pages, int indexGref, int maxOrder, String where)
            throws KeyException, GrantException {
        MemorySegment index = pages.mapContiguous(new int[] {indexGref});
        boolean mapped = false;
        try {
            int order = index.get(U32, FlexRingLayout.RING_ORDER);
            if (order < 1 || order > maxOrder) {
                throw new KeyException(
                        "the page of "
                                + where
                                + " says ring_order "
                                + Integer.toUnsignedString(order)
                                + ": expected 1.."
                                + maxOrder);
            }
            int[] grefs = new int[1 << order];
            MemorySegment.copy(index, U32, FlexRingLayout.REF, grefs, 0, grefs.length);
            MemorySegment data = pages.mapContiguous(grefs);
            mapped = true;
            return new MappedFlexRing(index, data, order);
        } finally {
            if (!mapped) {
                pages.unmapContiguous(index);
            }
        }
    }

    ByteRingEnd backend() {
        return FlexRing.backend(indexPage, data, order);
    }

    void unmap(ForeignPages pages) {
        pages.unmapContiguous(data);
        pages.unmapContiguous(indexPage);
    }
}
