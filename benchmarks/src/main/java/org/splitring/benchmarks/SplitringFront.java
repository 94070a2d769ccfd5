package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.splitring.ring.FrontRing;

/// The requesting end on [FrontRing], used as a frontend driver uses it.
final class SplitringFront implements RingFront {
    private final FrontRing ring;
    private final MemorySegment pages;
    private final EntryWork work;
    private int nextId = 1;
    private int expectedId = 1;

    /// @param pages receives an empty ring
    SplitringFront(MemorySegment pages, EntryWork work) {
        this.ring = FrontRing.init(pages, work.entrySizeBytes());
        this.pages = pages;
        this.work = work;
    }

    @Override
    public int capacity() {
        return ring.entries();
    }

    @Override
    public boolean send(int count) {
        int id = nextId;
        for (int i = 0; i < count; i++) {
            work.fill(pages, ring.slotOffset(ring.takeRequestIndex()), id++);
        }
        nextId = id;
        return ring.pushRequestsAndCheckNotify();
    }

    @Override
    public int receive() {
        int count = ring.unconsumedResponses();
        for (int i = 0; i < count; i++) {
            long response = ring.slotOffset(ring.consumeResponseIndex());
            if (!work.isAnswerTo(pages, response, expectedId++)) {
                throw new IllegalStateException("wrong response to request " + (expectedId - 1));
            }
        }
        return count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }
}
