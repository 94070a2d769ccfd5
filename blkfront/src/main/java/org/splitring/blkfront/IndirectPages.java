package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.wire.BlkifLayout;

/// Pages for the segments of indirect requests, one for each such request that may be under way.
/// They are granted for reading as long as the connection lasts, and hold nothing but grant
/// references and sector numbers. Made and given back on the control plane, used on the loop.
final class IndirectPages {
    /// How many indirect requests may be under way: 8 MiB.
    private static final int COUNT = 8;

    private final GuestDomain guest;
    private final int firstGfn;
    private final int[] grefs;
    private final MemorySegment memory;
    private final int[] free;
    private int freeCount;

    private IndirectPages(GuestDomain guest, int firstGfn, int[] grefs) {
        this.guest = guest;
        this.firstGfn = firstGfn;
        this.grefs = grefs;
        memory = guest.memory().pages(firstGfn, Math.max(1, grefs.length));
        free = new int[grefs.length];
        for (int page = grefs.length - 1; page >= 0; page--) {
            free[freeCount++] = page;
        }
    }

    /// Takes and grants as many as there can be, perhaps none.
    static IndirectPages take(GuestDomain guest, DomId backend) {
        int gfn = guest.pages().allocate(COUNT);
        if (gfn < 0) {
            return new IndirectPages(guest, 0, new int[0]);
        }
        GrantTable grants = guest.grants();
        int[] grefs = new int[COUNT];
        int count = 0;
        while (count < COUNT && (grefs[count] = grants.claimFor(gfn + count)) >= 0) {
            grants.grant(grefs[count], backend, gfn + count, true);
            count++;
        }
        if (count < COUNT) {
            guest.pages().free(gfn + count, COUNT - count);
        }
        return new IndirectPages(guest, gfn, Arrays.copyOf(grefs, count));
    }

    /// How many there are, in use or not.
    int count() {
        return grefs.length;
    }

    boolean isAvailable() {
        return freeCount > 0;
    }

    int take() {
        return free[--freeCount];
    }

    void giveBack(int page) {
        free[freeCount++] = page;
    }

    int gref(int page) {
        return grefs[page];
    }

    void writeSegment(int page, int index, int gref, int lastSect) {
        long segment = page * 4096L + index * BlkifLayout.SEGMENT.byteSize();
        BlkifLayout.writeSegment(memory, segment, gref, 0, lastSect);
    }

    /// Gives everything back; what the backend holds goes to the grant table's care.
    void close() {
        GrantTable grants = guest.grants();
        for (int page = 0; page < grefs.length; page++) {
            if (grants.tryRevoke(grefs[page])) {
                grants.unclaim(grefs[page]);
                guest.pages().free(firstGfn + page, 1);
            } else {
                grants.quarantine(grefs[page], firstGfn + page);
            }
        }
    }
}
