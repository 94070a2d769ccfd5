package org.splitring.ring;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// Header of a PV shared ring: the first 64 bytes of the ring's first page.
///
///     byte  0          4          8          12         16             64
///           +----------+----------+----------+----------+--------------+-----------
///           | req_prod | req_event| rsp_prod | rsp_event| pvt, pad     | entry[0] ..
///           +----------+----------+----------+----------+--------------+-----------
///     writer  frontend   backend    backend    frontend   (zero)
///
/// Indices are little-endian u32, free-running, and wrap at 2^32. A slot number is
/// `index & (entries - 1)`. An empty ring has both producers at 0 and both events at 1; only the
/// frontend initialises it. A ring is 1, 2, 4, 8 or 16 adjacent pages of 4096 bytes; it holds the
/// largest power of two of entries that fits behind the header: a single page has room for 32
/// blkif entries of 112 bytes, or for 256 netif tx entries of 12.
///
/// Source: Xen `public/io/ring.h`, `DEFINE_RING_TYPES` and `SHARED_RING_INIT`.
public final class SringLayout {
    /// Bytes of a page in every PV protocol, whatever the page size of the machine.
    public static final int PAGE_SIZE_BYTES = 4096;

    /// A ring has at most `1 << MAX_PAGE_ORDER` pages.
    public static final int MAX_PAGE_ORDER = 4;

    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    public static final StructLayout HEADER =
            MemoryLayout.structLayout(
                            U32.withName("req_prod"),
                            U32.withName("req_event"),
                            U32.withName("rsp_prod"),
                            U32.withName("rsp_event"),
                            MemoryLayout.sequenceLayout(4, ValueLayout.JAVA_BYTE).withName("pvt"),
                            MemoryLayout.sequenceLayout(44, ValueLayout.JAVA_BYTE)
                                    .withName("__pad"))
                    .withName("sring");

    /// Where the entries begin.
    public static final long RING_OFFSET = HEADER.byteSize();

    /// Written by the frontend. Coordinates of each handle: the ring's segment.
    public static final VarHandle REQ_PROD = index("req_prod");

    /// Written by the backend: wake me when `req_prod` passes this.
    public static final VarHandle REQ_EVENT = index("req_event");

    /// Written by the backend.
    public static final VarHandle RSP_PROD = index("rsp_prod");

    /// Written by the frontend: wake me when `rsp_prod` passes this.
    public static final VarHandle RSP_EVENT = index("rsp_event");

    private SringLayout() {}

    /// How many entries a ring holds: as many as fit, rounded down to a power of two.
    ///
    /// @throws IllegalArgumentException when no ring has that size, or not one entry fits
    public static int entries(long ringSizeBytes, int entrySizeBytes) {
        long pages = ringSizeBytes / PAGE_SIZE_BYTES;
        if (ringSizeBytes % PAGE_SIZE_BYTES != 0
                || Long.bitCount(pages) != 1
                || pages > 1 << MAX_PAGE_ORDER) {
            throw new IllegalArgumentException(
                    "a ring is 1, 2, 4, 8 or 16 pages of 4096 bytes, not " + ringSizeBytes);
        }
        if (entrySizeBytes < 1 || entrySizeBytes > ringSizeBytes - RING_OFFSET) {
            throw new IllegalArgumentException(
                    "entry size " + entrySizeBytes + " in a ring of " + ringSizeBytes + " bytes");
        }
        return Integer.highestOneBit((int) (ringSizeBytes - RING_OFFSET) / entrySizeBytes);
    }

    /// Makes an empty ring: both producers 0, both events 1, the padding zero. The entries stay as
    /// they are. The frontend does this once, before the backend can see the pages.
    static void init(MemorySegment ring) {
        ring.asSlice(0, RING_OFFSET).fill((byte) 0);
        REQ_EVENT.set(ring, 1);
        RSP_EVENT.set(ring, 1);
    }

    /// Checks that a segment can hold a ring, and counts its entries.
    static int entriesIn(MemorySegment ring, int entrySizeBytes) {
        checkPage(ring, RING_OFFSET);
        return entries(ring.byteSize(), entrySizeBytes);
    }

    /// Checks that memory can be shared and its words accessed atomically.
    static void checkPage(MemorySegment page, long minSizeBytes) {
        if (!page.isNative()
                || page.isReadOnly()
                || page.address() % U32.byteAlignment() != 0
                || page.byteSize() < minSizeBytes) {
            throw new IllegalArgumentException(
                    "a ring needs native, writable, aligned memory, at least %d bytes: %s"
                            .formatted(minSizeBytes, page));
        }
    }

    private static VarHandle index(String name) {
        long offset = HEADER.byteOffset(PathElement.groupElement(name));
        VarHandle word = MethodHandles.insertCoordinates(U32.varHandle(), 1, offset);
        // Exact: a call whose types do not fit fails instead of boxing on every request.
        return word.withInvokeExactBehavior();
    }
}
