package org.splitring.benchmarks;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;

/// Pages for the states of jcstress tests, which are made by the thousand: taken in turn from one
/// piece of memory, so that a page comes back only long after its state is done with.
final class StressMemory {
    private static final int PAIR_BYTES = 2 * 4096;
    private static final int PAIRS = 1 << 14;
    private static final MemorySegment MEMORY =
            Arena.global().allocate((long) PAIRS * PAIR_BYTES, 4096);
    private static final AtomicInteger NEXT = new AtomicInteger();

    private StressMemory() {}

    /// One page, its first 256 bytes zeroed: more is not used.
    static MemorySegment page() {
        return pair().asSlice(0, 4096);
    }

    /// Two adjacent pages, the first 256 bytes of each zeroed.
    static MemorySegment pair() {
        long pair = NEXT.getAndIncrement() & (PAIRS - 1);
        MemorySegment pages = MEMORY.asSlice(pair * PAIR_BYTES, PAIR_BYTES);
        pages.asSlice(0, 256).fill((byte) 0);
        pages.asSlice(4096, 256).fill((byte) 0);
        return pages;
    }
}
