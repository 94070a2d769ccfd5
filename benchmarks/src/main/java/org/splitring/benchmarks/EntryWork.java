package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;

/// What is done to each entry of a ring in shared memory: the same steps as in `ringbench.c`.
///
/// Slots are given as the ring's memory and the offset of the first, and follow each other in
/// memory: each loop is one over offsets that grow evenly, whose bounds the JIT can check once. A
/// slice for each slot would be inlined only as far as a profile says so, while field access is
/// inlined always. Entering such a loop costs more than an entry does, so the first entry, of which
/// there always is one, is done before it.
interface EntryWork {
    int entrySizeBytes();

    /// Writes every field of requests `id` and following into `count` slots; neighbouring small
    /// fields in one store.
    void fill(MemorySegment ring, long at, int id, int count);

    /// Reads each field of `count` requests exactly once, into locals (neighbouring small fields
    /// in one load), checks them, and writes the response of each into a slot, which may be that
    /// of its request.
    void answer(MemorySegment ring, long requestAt, long responseAt, int count);

    /// Whether `count` responses are the good answers to requests `id` and following. Reads each
    /// field once.
    boolean areAnswersTo(MemorySegment ring, long at, int id, int count);

    static EntryWork of(int entrySizeBytes) {
        return switch (entrySizeBytes) {
            case BlkifWork.ENTRY_SIZE -> new BlkifWork();
            case NetifTxWork.ENTRY_SIZE -> new NetifTxWork();
            default -> throw new IllegalArgumentException("entry size " + entrySizeBytes);
        };
    }
}
