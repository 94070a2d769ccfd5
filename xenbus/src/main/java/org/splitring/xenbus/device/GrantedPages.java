package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;

/// Adjacent pages of a guest's own memory, granted to a backend: a ring, or buffers.
///
/// What a backend will not let go is quarantined at the end, page by page, and never used for
/// anything else before it has let go. For the control plane, one thread at a time.
public final class GrantedPages {
    private final GuestDomain guest;
    private final int gfn;
    private final int[] grefs;
    private boolean closed;

    private GrantedPages(GuestDomain guest, int gfn, int[] grefs) {
        this.guest = guest;
        this.gfn = gfn;
        this.grefs = grefs;
    }

    /// Takes zeroed pages and grants them.
    ///
    /// @param readOnly whether the backend may only read them
    /// @throws DeviceException when the guest has no such pages, or no references left
    public static GrantedPages grant(GuestDomain guest, DomId backend, int count, boolean readOnly)
            throws DeviceException {
        int gfn = guest.pages().allocate(count);
        if (gfn < 0) {
            throw new DeviceException("no " + count + " adjacent pages of guest memory are free");
        }
        GrantTable grants = guest.grants();
        int[] grefs = new int[count];
        for (int i = 0; i < count; i++) {
            grefs[i] = grants.claimFor(gfn + i);
            if (grefs[i] < 0) {
                for (int j = 0; j < i; j++) {
                    grants.unclaim(grefs[j]);
                }
                guest.pages().free(gfn, count);
                throw new DeviceException("no grant references left for " + count + " pages");
            }
        }
        for (int i = 0; i < count; i++) {
            grants.grant(grefs[i], backend, gfn + i, readOnly);
        }
        return new GrantedPages(guest, gfn, grefs);
    }

    public int count() {
        return grefs.length;
    }

    /// The reference of a page.
    public int gref(int page) {
        return grefs[page];
    }

    /// All pages, one after the other.
    public MemorySegment memory() {
        return guest.memory().pages(gfn, grefs.length);
    }

    /// Ends the grants and gives the pages back, except those that the backend holds: they come
    /// back when it lets go. A second call does nothing.
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        GrantTable grants = guest.grants();
        for (int i = 0; i < grefs.length; i++) {
            if (grants.tryRevoke(grefs[i])) {
                grants.unclaim(grefs[i]);
                guest.pages().free(gfn + i, 1);
            } else {
                grants.quarantine(grefs[i], gfn + i);
            }
        }
    }
}
