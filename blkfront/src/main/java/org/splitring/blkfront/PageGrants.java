package org.splitring.blkfront;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GrantTable;

/// The grants of the buffers' pages during one connection, in one of two ways.
///
/// For each request: references are claimed at connect and wait on a stack, the one used last on
/// top; a page is granted when it is sent and revoked when it is answered, so the backend reaches
/// it only in between.
///
/// Persistent: every page is granted at connect, for reading and writing, until the connection
/// ends. The backend need not map and unmap, and nothing has to be copied, since callers work in
/// these very pages; but the backend reaches them all the time.
///
/// On the loop, but for making it and [#unclaim].
final class PageGrants {
    private final GrantTable grants;
    private final DomId backend;
    private final TransferQueue work;
    private final int[] free;
    private int freeCount;
    private final int @Nullable [] ofPages; // persistent: the reference of each page

    private PageGrants(
            GrantTable grants,
            DomId backend,
            TransferQueue work,
            int[] free,
            int @Nullable [] ofPages) {
        this.grants = grants;
        this.backend = backend;
        this.work = work;
        this.free = free;
        freeCount = ofPages == null ? free.length : 0;
        this.ofPages = ofPages;
    }

    /// @param grefs claimed references, which this object has from now on
    static PageGrants forEachRequest(
            GrantTable grants, DomId backend, TransferQueue work, int[] grefs) {
        return new PageGrants(grants, backend, work, grefs.clone(), null);
    }

    /// @param grefs claimed references, one for each page of the buffers
    static PageGrants persistent(
            GrantTable grants, DomId backend, TransferQueue work, int[] grefs) {
        for (int page = 0; page < grefs.length; page++) {
            grants.grant(grefs[page], backend, work.poolFirstGfn() + page, false);
        }
        return new PageGrants(grants, backend, work, new int[grefs.length], grefs.clone());
    }

    boolean isPersistent() {
        return ofPages != null;
    }

    /// How many pages can be granted now.
    int available() {
        return ofPages == null ? freeCount : Integer.MAX_VALUE;
    }

    /// Grants a page of the buffers.
    int grant(int page, boolean readOnly) {
        int[] all = ofPages;
        if (all != null) {
            return all[page];
        }
        int gref = free[--freeCount];
        grants.grant(gref, backend, work.poolFirstGfn() + page, readOnly);
        return gref;
    }

    /// Takes back what one request had; on failure those that can be are back all the same, and
    /// all references stay the request's.
    ///
    /// @param grefs in `from` to `to`
    boolean tryRevoke(int[] grefs, int from, int to) {
        if (ofPages != null) {
            return true;
        }
        boolean all = true;
        for (int i = from; i < to; i++) {
            all &= grants.tryRevoke(grefs[i]);
        }
        for (int i = to - 1; all && i >= from; i--) {
            free[freeCount++] = grefs[i];
        }
        return all;
    }

    /// Takes one page back from a request that will not be answered, or puts it aside: for good,
    /// or until the backend lets go.
    void takeBack(int gref, int page, boolean forGood) {
        if (ofPages == null) {
            end(gref, page, forGood);
        }
    }

    /// The connection is over: persistent grants end.
    void endAll(boolean forGood) {
        int[] all = ofPages;
        for (int page = 0; all != null && page < all.length; page++) {
            if (all[page] >= 0) {
                end(all[page], page, forGood);
                all[page] = -1;
            }
        }
    }

    private void end(int gref, int page, boolean forGood) {
        if (grants.tryRevoke(gref)) {
            free[freeCount++] = gref;
        } else if (forGood) {
            grants.quarantine(gref, work.poolFirstGfn() + page);
            work.pool().lose(page);
        } else {
            work.hold(grants, gref, page);
        }
    }

    /// Gives the references back; those that the backend would not let go of were put aside.
    void unclaim() {
        while (freeCount > 0) {
            grants.unclaim(free[--freeCount]);
        }
    }
}
