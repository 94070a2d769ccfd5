package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import org.splitring.testkit.MortalDriver;

/// A note whose process may die before and after each step: between any two stores of the data
/// path.
final class MortalNote extends OrderedNote {
    private final MortalDriver process;

    /// @param process that has the note
    MortalNote(MemorySegment memory, int entries, int entrySizeBytes, MortalDriver process) {
        super(memory, entries, entrySizeBytes);
        this.process = process;
    }

    @Override
    void taken(int reqCons) {
        process.mayDie();
        super.taken(reqCons);
        process.mayDie();
    }

    @Override
    void publishing(int rspProd) {
        process.mayDie();
        super.publishing(rspProd);
        process.mayDie();
    }
}
