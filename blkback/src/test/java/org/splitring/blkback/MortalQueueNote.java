package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.splitring.testkit.MortalDriver;

/// A note whose process may die before and after each step: between any two stores of the data
/// path. What was being copied at that moment is half there.
final class MortalQueueNote extends QueueNote {
    private final MortalDriver process;

    /// @param process that has the note
    MortalQueueNote(MemorySegment memory, int entries, MortalDriver process) {
        super(memory, entries);
        this.process = process;
    }

    @Override
    void taken(int place, int request) {
        MemorySegment half = copy(place).asSlice(40);
        byte[] whole = half.toArray(ValueLayout.JAVA_BYTE);
        half.fill((byte) 0xAA);
        process.mayDie();
        half.copyFrom(MemorySegment.ofArray(whole));
        super.taken(place, request);
    }

    @Override
    void taken(int place) {
        process.mayDie();
        super.taken(place);
        process.mayDie();
    }

    @Override
    void answered(int place, int response) {
        process.mayDie();
        super.answered(place, response);
        process.mayDie();
    }

    @Override
    void publishing(int rspProd) {
        process.mayDie();
        super.publishing(rspProd);
        process.mayDie();
    }

    @Override
    void free(int place) {
        process.mayDie();
        super.free(place);
        process.mayDie();
    }

    @Override
    int settle() {
        process.mayDie();
        int unanswered = super.settle();
        process.mayDie();
        return unanswered;
    }
}
