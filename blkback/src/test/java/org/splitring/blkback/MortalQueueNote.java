package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;

/// A note whose process may die before and after each step: between any two stores of the data
/// path. What was being copied at that moment is half there.
final class MortalQueueNote extends QueueNote {
    /// Unwinds the stack of a process that is dead.
    static final class Death extends Error {
        private static final long serialVersionUID = 1L;

        Death() {
            super("killed", null, false, false);
        }
    }

    private final BooleanSupplier dies;

    /// @param dies is asked at each step, and kills the process when it says so
    MortalQueueNote(MemorySegment memory, int entries, BooleanSupplier dies) {
        super(memory, entries);
        this.dies = dies;
    }

    private void mayDie() {
        if (dies.getAsBoolean()) {
            throw new Death();
        }
    }

    @Override
    void taken(int place, int request) {
        if (dies.getAsBoolean()) {
            copy(place).asSlice(40).fill((byte) 0xAA);
            throw new Death();
        }
        super.taken(place, request);
        mayDie();
    }

    @Override
    void answered(int place, int response) {
        mayDie();
        super.answered(place, response);
        mayDie();
    }

    @Override
    void publishing(int rspProd) {
        mayDie();
        super.publishing(rspProd);
        mayDie();
    }

    @Override
    void free(int place) {
        mayDie();
        super.free(place);
        mayDie();
    }

    @Override
    int settle() {
        mayDie();
        int unanswered = super.settle();
        mayDie();
        return unanswered;
    }
}
