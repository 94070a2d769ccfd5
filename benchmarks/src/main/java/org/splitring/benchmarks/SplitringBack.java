package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.splitring.ring.BackRing;

/// The answering end on [BackRing], used as a backend driver uses it.
final class SplitringBack implements RingBack {
    private final BackRing ring;
    private final MemorySegment pages;
    private final EntryWork work;

    SplitringBack(MemorySegment pages, EntryWork work) {
        this.ring = BackRing.init(pages, work.entrySizeBytes());
        this.pages = pages;
        this.work = work;
    }

    @Override
    public int serve(int limit) {
        int count = Math.min(ring.unconsumedRequests(), limit);
        if (count == 0) {
            return 0;
        }
        for (int i = 0; i < count; i++) {
            long request = ring.slotOffset(ring.consumeRequestIndex());
            work.answer(pages, request, ring.slotOffset(ring.takeResponseIndex()));
        }
        return ring.pushResponsesAndCheckNotify() ? count | KICK : count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }
}
