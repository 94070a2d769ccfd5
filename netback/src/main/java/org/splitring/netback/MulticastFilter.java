package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.splitring.bridge.Frame;

/// The groups that a guest wants to hear, when it has asked for `request-multicast-control`: of
/// frames to groups it gets those, and broadcasts. They stand in a note too, for a successor: how
/// many at byte 0, the first at 64. On the loop.
final class MulticastFilter {
    /// Linux's `XEN_NETBK_MCAST_MAX`.
    static final int MAX_ADDRESSES = 64;

    /// How much memory the note takes.
    static final long NOTE_BYTES = 64 + 8 * MAX_ADDRESSES;

    private static final long ADDRESSES_AT = 64;
    private static final long BROADCAST = 0xFFFF_FFFF_FFFFL;
    private static final long GROUP_BIT = 1L << 40;

    private final boolean active;
    private final MemorySegment note;
    private final long[] addresses = new long[MAX_ADDRESSES];
    private int count;

    /// @param active whether the guest has asked for it; else everything passes
    /// @param note zeroes, or what a predecessor has left
    MulticastFilter(boolean active, MemorySegment note) {
        this.active = active;
        this.note = note;
        int found = Math.clamp(note.get(ValueLayout.JAVA_INT, 0), 0, MAX_ADDRESSES);
        for (int i = 0; i < found; i++) {
            long address = note.get(ValueLayout.JAVA_LONG, ADDRESSES_AT + 8L * i);
            // One stands there twice when a process has ended in taking away another.
            if ((address & GROUP_BIT) != 0 && indexOf(address) < 0) {
                addresses[count++] = address;
            }
        }
    }

    boolean passes(Frame frame) {
        if (!active) {
            return true;
        }
        long target = ((long) frame.u16(0) << 32) | (frame.i32(2) & 0xFFFF_FFFFL);
        return (target & GROUP_BIT) == 0 || target == BROADCAST || indexOf(target) >= 0;
    }

    /// Adds an address to those that the guest hears.
    ///
    /// @return `false` when it is no group, or there are too many already
    boolean add(long address) {
        if ((address & GROUP_BIT) == 0) {
            return false;
        }
        if (indexOf(address) >= 0) {
            return true;
        }
        if (count == MAX_ADDRESSES) {
            return false;
        }
        addresses[count++] = address;
        noteAll();
        return true;
    }

    void remove(long address) {
        int index = indexOf(address);
        if (index >= 0) {
            addresses[index] = addresses[--count];
            noteAll();
        }
    }

    private void noteAll() {
        MemorySegment.copy(addresses, 0, note, ValueLayout.JAVA_LONG, ADDRESSES_AT, count);
        note.set(ValueLayout.JAVA_INT, 0, count);
    }

    int count() {
        return count;
    }

    private int indexOf(long address) {
        for (int i = 0; i < count; i++) {
            if (addresses[i] == address) {
                return i;
            }
        }
        return -1;
    }
}
