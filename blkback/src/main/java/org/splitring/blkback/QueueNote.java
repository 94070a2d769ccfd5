package org.splitring.blkback;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.splitring.wire.BlkifLayout;

/// What one ring's backend has taken, in memory that may outlive the process: from it a successor
/// knows which requests the guest has no answer to. The guest cannot reach this memory.
///
///     byte  0          4          8            12        64
///           +----------+----------+------------+---------+----------+---
///           | rsp_prod | entries  | entry_size | zero    | place[0] | ..
///           +----------+----------+------------+---------+----------+---
///
/// with a place for each slot of the ring:
///
///     byte  0          4          8           12        16                 128
///           +----------+----------+-----------+---------+------------------+
///           | state    | response | request   | zero    | copy of the slot |
///           +----------+----------+-----------+---------+------------------+
///
/// State and response are one word, stored at once:
///
/// | state | the request |
/// |---|---|
/// | `FREE` | there is none |
/// | `TAKEN` | has no answer |
/// | `ANSWERED` | has its answer at `response`: the guest's once `rsp_prod` is beyond that |
///
/// **Order.** The process may end between any two stores, and what was stored before the end is
/// there after it; power that fails takes the guest too. So each store makes true what the one
/// before it has prepared:
///
/// 1. the copy and the request's index, then `TAKEN`: from here on the slot on the ring may be
///    overwritten;
/// 2. `ANSWERED`, and the bytes of the response;
/// 3. `rsp_prod` here, then in the ring. A successor publishes what stands here: whatever is below
///    has its bytes;
/// 4. `FREE`, and only then the place is used again.
///
/// So requests that were taken are those with an answer below `rsp_prod`, and the places that say
/// otherwise: `req_cons` needs no word. Indices are free-running as the ring's.
///
/// On the loop. Not final: a test has the process end between two of these.
class QueueNote {
    private static final int FREE = 0;
    private static final int TAKEN = 1;
    private static final int ANSWERED = 2;

    private static final int COPY_BYTES = 112;

    private static final StructLayout HEADER =
            MemoryLayout.structLayout(
                    ValueLayout.JAVA_INT.withName("rsp_prod"),
                    ValueLayout.JAVA_INT.withName("entries"),
                    ValueLayout.JAVA_INT.withName("entry_size"),
                    MemoryLayout.paddingLayout(52));
    private static final StructLayout PLACE =
            MemoryLayout.structLayout(
                    ValueLayout.JAVA_LONG.withName("state"),
                    ValueLayout.JAVA_INT.withName("request"),
                    MemoryLayout.paddingLayout(4),
                    MemoryLayout.sequenceLayout(COPY_BYTES, ValueLayout.JAVA_BYTE)
                            .withName("copy"));
    private static final VarHandle RSP_PROD = header("rsp_prod");
    private static final VarHandle ENTRIES = header("entries");
    private static final VarHandle ENTRY_SIZE = header("entry_size");
    private static final VarHandle STATE =
            ValueLayout.JAVA_LONG.varHandle().withInvokeExactBehavior();
    private static final VarHandle REQUEST =
            ValueLayout.JAVA_INT.varHandle().withInvokeExactBehavior();
    private static final long REQUEST_AT = PLACE.byteOffset(PathElement.groupElement("request"));
    private static final long COPY_AT = PLACE.byteOffset(PathElement.groupElement("copy"));

    private final MemorySegment memory;
    private final int entries;

    private static VarHandle header(String name) {
        return HEADER.varHandle(PathElement.groupElement(name)).withInvokeExactBehavior();
    }

    /// How much memory the note of a ring takes.
    static long sizeBytes(int entries) {
        return HEADER.byteSize() + entries * PLACE.byteSize();
    }

    /// @param memory of [#sizeBytes]: zeroes, or what a predecessor has left
    QueueNote(MemorySegment memory, int entries) {
        this.memory = memory;
        this.entries = entries;
    }

    /// Says whose note this is; all places are free.
    void begin(BlkifLayout layout) {
        ENTRIES.set(memory, 0L, entries);
        ENTRY_SIZE.set(memory, 0L, layout.entrySizeBytes());
    }

    /// Whether this is the note of a ring like that.
    boolean isOf(BlkifLayout layout) {
        return (int) ENTRIES.get(memory, 0L) == entries
                && (int) ENTRY_SIZE.get(memory, 0L) == layout.entrySizeBytes();
    }

    private static long at(int place) {
        return HEADER.byteSize() + place * PLACE.byteSize();
    }

    private static long state(int state, int response) {
        return (long) state << 32 | Integer.toUnsignedLong(response);
    }

    /// Where the copy of a slot goes, and is checked and used.
    MemorySegment copy(int place) {
        return memory.asSlice(at(place) + COPY_AT, COPY_BYTES);
    }

    // What the queue does, in this order.

    /// The copy of a request is complete.
    ///
    /// @param request its index on the ring
    void taken(int place, int request) {
        REQUEST.set(memory, at(place) + REQUEST_AT, request);
        taken(place);
    }

    /// Copy and index of a request are complete.
    void taken(int place) {
        // Release: copy and index before the state, for a successor.
        STATE.setRelease(memory, at(place), state(TAKEN, 0));
    }

    /// A request has an answer, which is not published. To be called before that is written: its
    /// bytes may go where a request is that was only just taken.
    ///
    /// @param response index of the answer
    void answered(int place, int response) {
        STATE.set(memory, at(place), state(ANSWERED, response));
        // No response goes to the ring before the states that were stored up to here.
        VarHandle.storeStoreFence();
    }

    /// Everything below an index is about to be published.
    void publishing(int rspProd) {
        // Release: the bytes of the responses and their states before the index. The index in the
        // ring follows with a release of its own.
        RSP_PROD.setRelease(memory, 0L, rspProd);
    }

    /// The answer of a request is published.
    void free(int place) {
        // Release: not before the index that publishes it.
        STATE.setRelease(memory, at(place), state(FREE, 0));
    }

    // What a successor finds.

    /// Where the next response goes: everything below is published.
    int rspProd() {
        return (int) RSP_PROD.getAcquire(memory, 0L);
    }

    /// Makes `FREE` of whatever has its answer, and `TAKEN` of what has none: an index that was not
    /// published will be another response's. Nothing is published before this returns.
    ///
    /// @return how many requests were taken and have no answer
    int settle() {
        int unanswered = 0;
        for (int place = 0; place < entries; place++) {
            long word = (long) STATE.getAcquire(memory, at(place));
            int state = (int) (word >>> 32);
            boolean published = state == ANSWERED && (int) word - rspProd() < 0;
            if (state == FREE || published) {
                free(place);
            } else {
                taken(place);
                unanswered++;
            }
        }
        return unanswered;
    }

    /// After [#settle]: whether the request of a place has no answer.
    boolean isTaken(int place) {
        return (long) STATE.getAcquire(memory, at(place)) != state(FREE, 0);
    }

    /// The index of a request that was taken.
    int request(int place) {
        return (int) REQUEST.get(memory, at(place) + REQUEST_AT);
    }
}
