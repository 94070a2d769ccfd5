package org.splitring.benchmarks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A pair of rings whose answering end changes a bit of an answer after some good ones.
public final class LyingRing {
    private LyingRing() {}

    /// Makes one.
    ///
    /// @param goodOnes answers before the wrong one
    public static RingPair open(int goodOnes) throws IOException {
        MemorySegment memory = Arena.global().allocate(RingPair.MEMORY_BYTES, 4096);
        EntryWork work = EntryWork.of(BlkifWork.ENTRY_SIZE);
        return RingPair.threads(
                new SplitringFront(RingPair.ring(memory), work),
                () -> new SplitringBack(RingPair.ring(memory), new Lie(work, goodOnes)),
                memory);
    }

    private static final class Lie implements EntryWork {
        private final EntryWork truth;
        private int goodOnes;

        Lie(EntryWork truth, int goodOnes) {
            this.truth = truth;
            this.goodOnes = goodOnes;
        }

        @Override
        public int entrySizeBytes() {
            return truth.entrySizeBytes();
        }

        @Override
        public void fill(MemorySegment ring, long at, int id, int count) {
            truth.fill(ring, at, id, count);
        }

        @Override
        public void answer(MemorySegment ring, long requestAt, long responseAt, int count) {
            truth.answer(ring, requestAt, responseAt, count);
            if (goodOnes >= 0 && goodOnes < count) {
                byte was = ring.get(ValueLayout.JAVA_BYTE, responseAt);
                ring.set(ValueLayout.JAVA_BYTE, responseAt, (byte) (was ^ 2));
            }
            goodOnes -= count;
        }

        @Override
        public boolean areAnswersTo(MemorySegment ring, long at, int id, int count) {
            return truth.areAnswersTo(ring, at, id, count);
        }
    }
}
