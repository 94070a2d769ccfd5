package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;

/// Pages of a frontend for its requests, which outlive a connection: they keep what is in them when
/// the backend is replaced, and are granted anew to the next one.
///
/// A page that a backend will not let go is left to it, and its contents move to another page.
final class DataPages {
    private final int[] gfns;
    private final int[] grefs;
    private volatile GuestMemory memory;
    private boolean granted;

    private DataPages(GuestMemory memory, int count) {
        this.memory = memory;
        gfns = new int[count];
        grefs = new int[count];
        Arrays.fill(gfns, -1);
    }

    /// Pages that are not there yet: [#grant] takes them.
    static DataPages of(GuestDomain guest, int count) {
        return new DataPages(guest.memory(), count);
    }

    MemorySegment page(int index) {
        return memory.pages(gfns[index], 1);
    }

    int gref(int index) {
        return grefs[index];
    }

    /// Grants every page; takes those that are missing. Control plane.
    ///
    /// @param guest with the same memory as before
    void grant(GuestDomain guest, DomId backend) throws DeviceException {
        memory = guest.memory();
        int claimed = 0;
        try {
            for (int i = 0; i < gfns.length; i++) {
                if (gfns[i] < 0) {
                    gfns[i] = guest.pages().allocate(1);
                }
                grefs[i] = gfns[i] < 0 ? -1 : guest.grants().claimFor(gfns[i]);
                if (grefs[i] < 0) {
                    throw new DeviceException(
                            "no " + gfns.length + " pages and references are free in the guest");
                }
                claimed++;
            }
            granted = true;
        } finally {
            for (int i = 0; i < claimed && !granted; i++) {
                guest.grants().unclaim(grefs[i]);
            }
        }
        for (int i = 0; i < gfns.length; i++) {
            guest.grants().grant(grefs[i], backend, gfns[i], false);
        }
    }

    /// Ends the grants; what is in the pages stays.
    void revoke(GuestDomain guest) {
        if (!granted) {
            return;
        }
        granted = false;
        GrantTable grants = guest.grants();
        for (int i = 0; i < gfns.length; i++) {
            if (grants.tryRevoke(grefs[i])) {
                grants.unclaim(grefs[i]);
                continue;
            }
            int other = guest.pages().allocate(1);
            if (other >= 0) {
                memory.pages(other, 1).copyFrom(memory.pages(gfns[i], 1));
            }
            grants.quarantine(grefs[i], gfns[i]);
            gfns[i] = other;
        }
    }

    /// Gives the pages back, after [#revoke].
    void free(GuestDomain guest) {
        for (int i = 0; i < gfns.length; i++) {
            if (gfns[i] >= 0) {
                guest.pages().free(gfns[i], 1);
                gfns[i] = -1;
            }
        }
    }
}
