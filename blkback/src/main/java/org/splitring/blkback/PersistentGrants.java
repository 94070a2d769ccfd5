package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;

/// Grants that stay mapped between requests, since the frontend says that it uses the same ones
/// again (`feature-persistent`). There are at most as many as were set at connect; the one that
/// was used least recently makes room for another. A frontend that never uses one again
/// only slows itself (hostile catalogue H-025).
///
/// A slot is *in use* while a request works on its page; only a slot that is not can be given up.
/// Nothing is allocated after the constructor, and every call but [#giveUpUnused] takes constant
/// time: the table is hashed with a number that the guest does not know.
///
/// On the loop.
final class PersistentGrants {
    private static final int NONE = -1;

    private final ForeignPages pages;
    private final int[] grefs;
    private final int[] handles;
    private final MemorySegment[] memories;
    private final long[] offsets;
    private final int[] uses;

    // Slots that are not in use, the most recent one first; NONE at the ends.
    private final int[] newer;
    private final int[] older;
    private int newest = NONE;
    private int oldest = NONE;

    private final int[] freeSlots;
    private int freeCount;

    private final int[] table; // slot + 1, or 0; open addressing
    private final int multiplier = ThreadLocalRandom.current().nextInt() | 1;
    private final int shift;

    private final GrantBatch one = new GrantBatch(1);

    /// @param capacity most grants that stay mapped
    PersistentGrants(ForeignPages pages, int capacity) {
        this.pages = pages;
        grefs = new int[capacity];
        handles = new int[capacity];
        memories = new MemorySegment[capacity];
        Arrays.fill(memories, MemorySegment.NULL);
        offsets = new long[capacity];
        uses = new int[capacity];
        newer = new int[capacity];
        older = new int[capacity];
        freeSlots = new int[capacity];
        for (int slot = capacity - 1; slot >= 0; slot--) {
            freeSlots[freeCount++] = slot;
        }
        int bits = 32 - Integer.numberOfLeadingZeros(Math.max(4, 2 * capacity) - 1);
        table = new int[1 << bits];
        shift = 32 - bits;
    }

    /// How many grants are mapped.
    int size() {
        return grefs.length - freeCount;
    }

    MemorySegment memory(int slot) {
        return memories[slot];
    }

    long offset(int slot) {
        return offsets[slot];
    }

    /// Finds a grant that is mapped, and begins to use it.
    ///
    /// @return its slot, or -1
    int use(int gref) {
        int slot = table[place(gref)] - 1;
        if (slot >= 0 && uses[slot]++ == 0) {
            unlink(slot);
        }
        return slot;
    }

    /// Ends one use.
    void done(int slot) {
        if (--uses[slot] == 0) {
            older[slot] = newest;
            newer[slot] = NONE;
            if (newest == NONE) {
                oldest = slot;
            } else {
                newer[newest] = slot;
            }
            newest = slot;
        }
    }

    /// Takes over a mapping from a batch, in use, if there is or can be made room and the grant
    /// is not there already; the batch will not unmap it then.
    ///
    /// @return its slot, or -1 when the mapping stays the batch's
    int adopt(GrantBatch batch, int index) {
        int gref = batch.gref(index);
        if (grefs.length == 0 || table[place(gref)] != 0) {
            return NONE;
        }
        if (freeCount == 0) {
            if (oldest == NONE) {
                return NONE;
            }
            giveUp(oldest);
        }
        int slot = freeSlots[--freeCount];
        grefs[slot] = gref;
        handles[slot] = batch.handle(index);
        memories[slot] = batch.memory(index);
        offsets[slot] = batch.offset(index);
        uses[slot] = 1;
        table[place(gref)] = slot + 1;
        batch.set(index, GrantStatus.GENERAL_ERROR, NONE, MemorySegment.NULL, 0);
        return slot;
    }

    /// Unmaps whatever is not in use.
    void giveUpUnused() {
        while (oldest != NONE) {
            giveUp(oldest);
        }
    }

    private void giveUp(int slot) {
        unlink(slot);
        removeFromTable(grefs[slot]);
        one.clear();
        one.add(grefs[slot], true);
        one.set(0, GrantStatus.OKAY, handles[slot], memories[slot], offsets[slot]);
        pages.unmap(one);
        memories[slot] = MemorySegment.NULL;
        freeSlots[freeCount++] = slot;
    }

    private void unlink(int slot) {
        int before = newer[slot];
        int after = older[slot];
        if (before == NONE) {
            newest = after;
        } else {
            older[before] = after;
        }
        if (after == NONE) {
            oldest = before;
        } else {
            newer[after] = before;
        }
    }

    private int home(int gref) {
        return (gref * multiplier) >>> shift;
    }

    /// Where a grant stands in the table, or the empty place where it would.
    private int place(int gref) {
        int at = home(gref);
        while (table[at] != 0 && grefs[table[at] - 1] != gref) {
            at = (at + 1) & (table.length - 1);
        }
        return at;
    }

    /// Closes the gap: whatever stood behind it because of it moves up.
    private void removeFromTable(int gref) {
        int mask = table.length - 1;
        int gap = place(gref);
        table[gap] = 0;
        for (int at = (gap + 1) & mask; table[at] != 0; at = (at + 1) & mask) {
            int wanted = home(grefs[table[at] - 1]);
            if (((at - wanted) & mask) >= ((at - gap) & mask)) {
                table[gap] = table[at];
                table[at] = 0;
                gap = at;
            }
        }
    }
}
