package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;

/// What is done to each entry of a ring in shared memory: the same steps as in `ringbench.c`.
interface EntryWork {
    int entrySizeBytes();

    int responseSizeBytes();

    /// Writes every field of request `id` into a slot.
    void fill(MemorySegment ring, long slot, int id);

    /// Checks a private copy of a request, and writes its response into a slot.
    void answer(MemorySegment request, MemorySegment ring, long slot);

    /// Whether a private copy of a response is the good answer to request `id`.
    boolean isAnswerTo(MemorySegment response, int id);

    static EntryWork of(int entrySizeBytes) {
        return switch (entrySizeBytes) {
            case BlkifWork.ENTRY_SIZE -> new BlkifWork();
            case NetifTxWork.ENTRY_SIZE -> new NetifTxWork();
            default -> throw new IllegalArgumentException("entry size " + entrySizeBytes);
        };
    }
}
