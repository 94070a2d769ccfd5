package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;

/// What is done to each entry of a ring in shared memory: the same steps as in `ringbench.c`.
///
/// A slot is given as the ring's memory and an offset, and fields are reached from there. A slice
/// for
/// each slot would cost one bounds check less, but slicing is inlined only as far as a profile says
/// so, while field access is inlined always.
interface EntryWork {
    int entrySizeBytes();

    /// Writes every field of request `id` into a slot; neighbouring small fields in one store.
    void fill(MemorySegment ring, long at, int id);

    /// Reads each field of a request exactly once, into locals (neighbouring small fields in one
    /// load), checks them, and then writes its response into a slot, which may be the same one.
    void answer(MemorySegment ring, long requestAt, long responseAt);

    /// Whether a response is the good answer to request `id`. Reads each field once.
    boolean isAnswerTo(MemorySegment ring, long at, int id);

    static EntryWork of(int entrySizeBytes) {
        return switch (entrySizeBytes) {
            case BlkifWork.ENTRY_SIZE -> new BlkifWork();
            case NetifTxWork.ENTRY_SIZE -> new NetifTxWork();
            default -> throw new IllegalArgumentException("entry size " + entrySizeBytes);
        };
    }
}
