package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;

/// The pages of one queue that its frontend has asked to be kept mapped (`ADD_GREF_MAPPING`):
/// frames in them are copied without a look at the grant table. They stay mapped until the
/// frontend takes them back (`DEL_GREF_MAPPING`) or the vif is closed.
///
///     reference ──► table of references ──► number of the page ──► memory and offset
///                   (open addressing)
///
/// A frontend that lies harms itself: what is kept is what the grant table said when the page was
/// added, with all of its checks, and a page that is kept cannot be revoked.
///
/// On the loop. Nothing but [#add] and [#remove] allocates.
///
/// Source: Xen `public/io/netif.h`, `xen_netif_gref`.
final class StaticGrants {
    /// What a queue may keep: a page for each slot of both rings.
    static final int MAX_PAGES = 512;

    /// Answer of [#find] for a page that is not kept.
    static final int NONE = -1;

    private static final int GONE = -1; // handle of a page that is being given back
    private static final int TABLE_SIZE = 2 * MAX_PAGES;

    private final ForeignPages pages;
    private final int[] table = new int[TABLE_SIZE]; // numbers of pages, or NONE
    private final int[] grefs = new int[MAX_PAGES];
    private final int[] handles = new int[MAX_PAGES];
    private final boolean[] writable = new boolean[MAX_PAGES];
    private final MemorySegment[] memories = new MemorySegment[MAX_PAGES];
    private final long[] offsets = new long[MAX_PAGES];
    private int count;

    StaticGrants(ForeignPages pages) {
        this.pages = pages;
        Arrays.fill(table, NONE);
        Arrays.fill(memories, MemorySegment.NULL);
    }

    int count() {
        return count;
    }

    /// Looks for a page that is kept.
    ///
    /// @param gref from the frontend, unchecked
    /// @param forWriting whether it must be writable
    /// @return its number for [#memory] and [#offset], or [#NONE]
    int find(int gref, boolean forWriting) {
        if (count == 0) {
            return NONE;
        }
        int at = home(gref);
        int page = table[at];
        while (page != NONE) {
            if (grefs[page] == gref) {
                return forWriting && !writable[page] ? NONE : page;
            }
            at = (at + 1) & (TABLE_SIZE - 1);
            page = table[at];
        }
        return NONE;
    }

    /// The memory that the page lies in.
    MemorySegment memory(int page) {
        return memories[page];
    }

    /// Where in [#memory] the page begins.
    long offset(int page) {
        return offsets[page];
    }

    /// References of a guest follow one another, mostly; so do their places.
    private static int home(int gref) {
        return gref & (TABLE_SIZE - 1);
    }

    /// Keeps pages mapped: all of them or none.
    ///
    /// @param wanted references, private copies
    /// @param readOnly of each: whether it is only to be read
    /// @return whether they are kept: not when there are too many, one is kept already or named
    ///     twice, or one cannot be mapped
    boolean add(int[] wanted, boolean[] readOnly) {
        int before = count;
        if (wanted.length > MAX_PAGES - before) {
            return false;
        }
        GrantBatch batch = new GrantBatch(wanted.length);
        for (int i = 0; i < wanted.length; i++) {
            batch.add(wanted[i], !readOnly[i]);
        }
        boolean good = pages.map(batch);
        for (int i = 0; i < wanted.length && good; i++) {
            good = find(wanted[i], false) == NONE;
            if (good) {
                grefs[count] = wanted[i];
                handles[count] = batch.handle(i);
                writable[count] = !readOnly[i];
                memories[count] = batch.memory(i);
                offsets[count] = batch.offset(i);
                insert(count);
                count++;
            }
        }
        if (!good) {
            count = before;
            rebuild();
            pages.unmap(batch);
        }
        return good;
    }

    /// Gives pages back.
    ///
    /// @param wanted references, private copies
    /// @param removed receives of each whether it was kept, and is no more
    /// @return how many were
    int remove(int[] wanted, boolean[] removed) {
        GrantBatch batch = new GrantBatch(Math.max(1, Math.min(wanted.length, count)));
        for (int i = 0; i < wanted.length; i++) {
            int page = find(wanted[i], false);
            removed[i] = page != NONE && handles[page] != GONE;
            if (removed[i]) {
                int element = batch.size();
                batch.add(wanted[i], writable[page]);
                batch.set(element, GrantStatus.OKAY, handles[page], memories[page], offsets[page]);
                handles[page] = GONE;
            }
        }
        int left = 0;
        for (int page = 0; page < count; page++) {
            if (handles[page] != GONE) {
                grefs[left] = grefs[page];
                handles[left] = handles[page];
                writable[left] = writable[page];
                memories[left] = memories[page];
                offsets[left] = offsets[page];
                left++;
            }
        }
        count = left;
        rebuild(); // forgotten first, so that nobody finds what is no longer mapped
        pages.unmap(batch);
        return batch.size();
    }

    private void insert(int page) {
        int at = home(grefs[page]);
        while (table[at] != NONE) {
            at = (at + 1) & (TABLE_SIZE - 1);
        }
        table[at] = page;
    }

    private void rebuild() {
        Arrays.fill(table, NONE);
        for (int page = 0; page < count; page++) {
            insert(page);
        }
    }
}
