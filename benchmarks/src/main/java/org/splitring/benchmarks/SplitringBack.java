package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import org.splitring.ring.BackRing;

/// The answering end on [BackRing], used as a backend driver uses it.
final class SplitringBack extends EndSpacing implements RingBack {
    private final BackRing ring;
    private final EntryWork work;

    SplitringBack(MemorySegment pages, EntryWork work) {
        this.ring = BackRing.init(pages, work.entrySizeBytes());
        this.work = work;
    }

    @Override
    public int serve(int limit) {
        int count = Math.min(ring.unconsumedRequests(), limit);
        return count == 0 ? 0 : answer(count);
    }

    @Override
    public int awaitRequests(int limit, Control control, int command) {
        int counted = ring.countedRequests();
        if (counted < limit) {
            counted = spin(control, command);
        }
        int count = Math.min(counted, limit);
        return count == 0 ? 0 : answer(count);
    }

    /// A loop of its own, as in [SplitringFront].
    private int spin(Control control, int command) {
        int count = ring.unconsumedRequests();
        while (count == 0 && control.command() == command) {
            Thread.onSpinWait();
            count = ring.unconsumedRequests();
        }
        return count;
    }

    /// Apart from the look that mostly finds nothing: judged by that, the compiler would take the
    /// work for rare and leave calls in it.
    private int answer(int count) {
        MemorySegment pages = ring.segment();
        int request = ring.consumeRequestIndices(count);
        int response = ring.takeResponseIndices(count);
        int done = 0;
        while (done < count) {
            int toEnd = Math.min(ring.slotsToEnd(request), ring.slotsToEnd(response));
            int run = Math.min(count - done, toEnd);
            work.answer(pages, ring.slotOffset(request), ring.slotOffset(response), run);
            request += run;
            response += run;
            done += run;
        }
        return ring.pushResponsesAndCheckNotify() ? count | KICK : count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }
}
