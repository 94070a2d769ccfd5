package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.splitring.ring.FrontRing;

/// The requesting end on [FrontRing], used as a frontend driver uses it.
final class SplitringFront extends EndSpacing implements RingFront {
    private final FrontRing ring;
    private final EntryWork work;
    private int nextId = 1;
    private int expectedId = 1;

    /// @param pages receives an empty ring
    SplitringFront(MemorySegment pages, EntryWork work) {
        this.ring = FrontRing.init(pages, work.entrySizeBytes());
        this.work = work;
    }

    @Override
    public int capacity() {
        return ring.entries();
    }

    @Override
    public boolean send(int count) {
        int id = nextId;
        MemorySegment pages = ring.segment();
        long slot = ring.slotOffset(ring.takeRequestIndices(count));
        for (int i = 0; i < count; i++) {
            work.fill(pages, slot, id++);
            slot = ring.nextSlotOffset(slot);
        }
        nextId = id;
        return ring.pushRequestsAndCheckNotify();
    }

    @Override
    public int receive() {
        int count = ring.unconsumedResponses();
        return count == 0 ? 0 : take(count);
    }

    @Override
    public int awaitResponses() {
        return take(spin());
    }

    /// A loop of its own: however often it looks in vain, the compiler does not take what follows
    /// for rare.
    private int spin() {
        int count = ring.unconsumedResponses();
        while (count == 0) {
            Thread.onSpinWait();
            count = ring.unconsumedResponses();
        }
        return count;
    }

    /// Apart from the look that mostly finds nothing, as in [SplitringBack].
    private int take(int count) {
        MemorySegment pages = ring.segment();
        int id = expectedId;
        long slot = ring.slotOffset(ring.consumeResponseIndices(count));
        for (int i = 0; i < count; i++) {
            if (!work.isAnswerTo(pages, slot, id++)) {
                throw new IllegalStateException("wrong response to request " + (id - 1));
            }
            slot = ring.nextSlotOffset(slot);
        }
        expectedId = id;
        return count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }
}
