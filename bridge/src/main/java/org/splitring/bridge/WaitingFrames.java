package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/// Copies of frames that wait for the address of their next hop, in slots of one size that are
/// made once. Frames of one neighbour are a list, oldest first. One thread.
final class WaitingFrames {
    static final int NONE = -1;

    /// Larger frames do not wait: jumbo frames do, large segments are rare as a flow's first.
    static final int SLOT_BYTES = 9216;

    private final int perPort;
    private final MemorySegment memory;
    private final Frame[] slots;
    private final int[] port;
    private final int[] next;
    private final int[] ofPort = new int[VirtualNetwork.MAX_PORTS];
    private int free = NONE;

    WaitingFrames(int capacity, int perPort) {
        this.perPort = perPort;
        memory = Arena.ofAuto().allocate((long) capacity * SLOT_BYTES, 64);
        slots = new Frame[capacity];
        port = new int[capacity];
        next = new int[capacity];
        Arrays.fill(port, NONE);
        Arrays.setAll(slots, i -> new Frame());
        for (int i = capacity - 1; i >= 0; i--) {
            next[i] = free;
            free = i;
        }
    }

    /// Copies a frame to the end of a list.
    ///
    /// @param first the list's first slot, or [#NONE]
    /// @return the list's first slot now; [#NONE] when there is no room, and the list is as it was
    int add(int first, Frame frame, int fromPort) {
        int size = frame.sizeBytes();
        if (free == NONE || ofPort[fromPort] >= perPort || size > SLOT_BYTES) {
            return NONE;
        }
        int slot = free;
        free = next[slot];
        long at = (long) slot * SLOT_BYTES;
        frame.copyTo(memory, at, 0, size);
        Frame copy = slots[slot];
        copy.reset();
        copy.append(memory, at, size);
        if (frame.checksumState() == ChecksumState.PARTIAL) {
            copy.partialChecksum(frame.checksumStart(), frame.checksumOffset());
        } else {
            copy.completeChecksum(frame.checksumState());
        }
        copy.gso(frame.gsoType(), frame.gsoSizeBytes());
        copy.flowHash(frame.flowHash(), frame.flowHashType());
        port[slot] = fromPort;
        ofPort[fromPort]++;
        next[slot] = NONE;
        if (first == NONE) {
            return slot;
        }
        int last = first;
        while (next[last] != NONE) { // at most perPort of each port that waits for it
            last = next[last];
        }
        next[last] = slot;
        return first;
    }

    Frame frame(int slot) {
        return slots[slot];
    }

    int portOf(int slot) {
        return port[slot];
    }

    /// Gives a slot back.
    ///
    /// @return the next one of its list
    int free(int slot) {
        int after = next[slot];
        if (port[slot] != NONE) {
            ofPort[port[slot]]--;
        }
        port[slot] = NONE;
        next[slot] = free;
        free = slot;
        return after;
    }

    /// Disowns what came in at a port that is gone; [#portOf] is then [#NONE].
    void forget(int gone) {
        for (int slot = 0; slot < port.length; slot++) {
            if (port[slot] == gone) {
                port[slot] = NONE;
            }
        }
        ofPort[gone] = 0;
    }
}
