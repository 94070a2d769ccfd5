package org.splitring.hypervisor.xen;

import java.lang.invoke.VarHandle;
import java.util.HashMap;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GrantTable;

/// Grants of pages that Linux granted when it made them: each page has its reference, and its
/// backend reaches it, for reading and writing, as long as the page is there.
///
/// So ending a grant ends nothing but the claim, and nothing may ever stand in any of these pages
/// that the backend must not see: the memory that they make up is for devices only.
final class XenGrantTable implements GrantTable {
    private final int[] grefs;
    private final DomId backend;
    private final byte[] states;
    private final Map<Integer, Integer> gfns = new HashMap<>(); // by reference; never changes

    private static final byte FREE = 0;
    private static final byte CLAIMED = 1;
    private static final byte GRANTED = 2;

    /// @param grefs of each page
    /// @param backend the domain that they are granted to
    XenGrantTable(int[] grefs, DomId backend) {
        this.grefs = grefs.clone();
        this.backend = backend;
        states = new byte[grefs.length];
        for (int gfn = 0; gfn < grefs.length; gfn++) {
            gfns.put(grefs[gfn], gfn);
        }
    }

    @Override
    public boolean isLasting() {
        return true;
    }

    /// {@inheritDoc} None: a reference belongs to its page here.
    @Override
    public int claim() {
        return -1;
    }

    @Override
    public synchronized int claimFor(int gfn) {
        if (states[gfn] != FREE) {
            return -1;
        }
        states[gfn] = CLAIMED;
        return grefs[gfn];
    }

    @Override
    public synchronized void unclaim(int gref) {
        states[expect(gref, CLAIMED, "unclaim")] = FREE;
    }

    @Override
    public synchronized void grant(int gref, DomId to, int gfn, boolean readOnly) {
        int own = expect(gref, CLAIMED, "grant");
        if (own != gfn || !to.equals(backend)) {
            throw new IllegalArgumentException(
                    "gref "
                            + gref
                            + " is of gfn "
                            + own
                            + " for domain "
                            + backend
                            + ", wanted gfn "
                            + gfn
                            + " for domain "
                            + to);
        }
        states[gfn] = GRANTED;
        // What stands in the page before whatever tells the backend of it.
        VarHandle.releaseFence();
    }

    /// {@inheritDoc} Always possible, and takes nothing away from the backend.
    @Override
    public synchronized boolean tryRevoke(int gref) {
        Integer gfn = gfns.get(gref);
        if (gfn != null && states[gfn] == CLAIMED) {
            return true;
        }
        states[expect(gref, GRANTED, "revoke")] = CLAIMED;
        return true;
    }

    private int expect(int gref, byte wanted, String operation) {
        Integer gfn = gfns.get(gref);
        if (gfn == null || states[gfn] != wanted) {
            throw new IllegalStateException(
                    operation + " of gref " + gref + ", which is not so far");
        }
        return gfn;
    }

    @Override
    public void quarantine(int gref, int gfn) {
        throw new IllegalStateException("no grant is refused its end here: gref " + gref);
    }

    @Override
    public int retryQuarantined() {
        return 0;
    }

    @Override
    public int quarantinedCount() {
        return 0;
    }
}
