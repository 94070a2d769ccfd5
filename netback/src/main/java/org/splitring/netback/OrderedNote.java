package org.splitring.netback;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.splitring.ring.BackRing;

/// What the backend of one ring has taken, where requests are answered in their order, in memory
/// that may outlive the process: from it a successor knows what the guest has no answer to. The
/// guest cannot reach this memory.
///
///     byte  0          4          8          12           64
///           +----------+----------+----------+------------+---------+---------+---
///           | rsp_prod | req_cons | entries  | entry_size | copy[0] | copy[1] | ..
///           +----------+----------+----------+------------+---------+---------+---
///
/// The copy of a slot has the place that the slot has on the ring.
///
/// **Order.** The process may end between any two stores:
///
/// 1. copies of slots, then `req_cons`: from here on the slots may be overwritten by responses;
/// 2. responses, then `rsp_prod` here, then in the ring. A successor publishes what stands here;
/// 3. the place of a copy is used again when the answer of its slot is published.
///
/// Requests from `rsp_prod` to `req_cons` have no answer. On the loop. Not final: a test has the
/// process end between two of these.
class OrderedNote {
    private static final StructLayout HEADER =
            MemoryLayout.structLayout(
                    ValueLayout.JAVA_INT.withName("rsp_prod"),
                    ValueLayout.JAVA_INT.withName("req_cons"),
                    ValueLayout.JAVA_INT.withName("entries"),
                    ValueLayout.JAVA_INT.withName("entry_size"),
                    MemoryLayout.paddingLayout(48));
    private static final VarHandle RSP_PROD = header("rsp_prod");
    private static final VarHandle REQ_CONS = header("req_cons");
    private static final VarHandle ENTRIES = header("entries");
    private static final VarHandle ENTRY_SIZE = header("entry_size");

    private final MemorySegment memory;
    private final MemorySegment copies;
    private final int entries;
    private final int entrySizeBytes;

    private static VarHandle header(String name) {
        return HEADER.varHandle(PathElement.groupElement(name)).withInvokeExactBehavior();
    }

    /// How much memory the note of a ring takes: whole cache lines.
    static long sizeBytes(int entries, int entrySizeBytes) {
        return HEADER.byteSize() + (((long) entries * entrySizeBytes + 63) & -64L);
    }

    /// @param memory of [#sizeBytes]: zeroes, or what a predecessor has left
    OrderedNote(MemorySegment memory, int entries, int entrySizeBytes) {
        this.memory = memory;
        this.copies = memory.asSlice(HEADER.byteSize(), (long) entries * entrySizeBytes);
        this.entries = entries;
        this.entrySizeBytes = entrySizeBytes;
    }

    /// Says whose note this is; nothing was taken.
    void begin() {
        ENTRIES.set(memory, 0L, entries);
        ENTRY_SIZE.set(memory, 0L, entrySizeBytes);
    }

    /// Whether this is the note of a ring like that, and its numbers are possible.
    boolean isSound() {
        return (int) ENTRIES.get(memory, 0L) == entries
                && (int) ENTRY_SIZE.get(memory, 0L) == entrySizeBytes
                && Integer.compareUnsigned(reqCons() - rspProd(), entries) <= 0;
    }

    /// The private copies of slots, each in the place that it has on the ring.
    MemorySegment copies() {
        return copies;
    }

    /// The copies of requests are complete.
    ///
    /// @param reqCons index after the last one
    void taken(int reqCons) {
        // Release: the copies before the index, for a successor.
        REQ_CONS.setRelease(memory, 0L, reqCons);
        // No response goes where a request was before that.
        VarHandle.storeStoreFence();
    }

    /// Everything below an index is about to be published.
    void publishing(int rspProd) {
        // Release: the bytes of the responses before the index. The index in the ring follows
        // with a release of its own.
        RSP_PROD.setRelease(memory, 0L, rspProd);
    }

    int rspProd() {
        return (int) RSP_PROD.getAcquire(memory, 0L);
    }

    int reqCons() {
        return (int) REQ_CONS.getAcquire(memory, 0L);
    }

    /// Attaches to the ring of a predecessor.
    BackRing resume(MemorySegment ring) {
        return BackRing.resume(ring, entrySizeBytes, rspProd(), reqCons() - rspProd());
    }
}
