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
        MemorySegment pages = ring.segment();
        int id = nextId;
        int index = ring.takeRequestIndices(count);
        int run = Math.min(count, ring.slotsToEnd(index));
        work.fill(pages, ring.slotOffset(index), id, run);
        if (run < count) {
            work.fill(pages, ring.slotOffset(index + run), id + run, count - run);
        }
        nextId = id + count;
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
        int index = ring.consumeResponseIndices(count);
        int run = Math.min(count, ring.slotsToEnd(index));
        boolean good = work.areAnswersTo(pages, ring.slotOffset(index), id, run);
        if (run < count) {
            good &= work.areAnswersTo(pages, ring.slotOffset(index + run), id + run, count - run);
        }
        if (!good) {
            throw new IllegalStateException("wrong response to a request from " + id + " on");
        }
        expectedId = id + count;
        return count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }
}
