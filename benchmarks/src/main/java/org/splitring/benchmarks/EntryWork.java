package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;

/// What is done to each entry of a ring in shared memory: the same steps as in `ringbench.c`.
interface EntryWork {
    int entrySizeBytes();

    /// Writes every field of request `id` into a slot.
    void fill(MemorySegment ring, long slot, int id);

    /// Reads each field of a request exactly once, into locals, checks them, and then writes its
    /// response into a slot, which may be the same one.
    void answer(MemorySegment ring, long requestSlot, long responseSlot);

    /// Whether a response is the good answer to request `id`. Reads each field once.
    boolean isAnswerTo(MemorySegment ring, long slot, int id);

    static EntryWork of(int entrySizeBytes) {
        return switch (entrySizeBytes) {
            case BlkifWork.ENTRY_SIZE -> new BlkifWork();
            case NetifTxWork.ENTRY_SIZE -> new NetifTxWork();
            default -> throw new IllegalArgumentException("entry size " + entrySizeBytes);
        };
    }
}
