package org.splitring.blkback;

import java.util.HashMap;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;

/// A guest whose pages stay granted once they were, each with a reference of its own, as Linux's
/// `gntalloc` has it.
record LastingGuest(GuestDomain domain, Lasting grants) implements GuestDomain {
    static LastingGuest of(GuestDomain domain) {
        return new LastingGuest(domain, new Lasting(domain.grants()));
    }

    @Override
    public DomId id() {
        return domain.id();
    }

    @Override
    public GuestMemory memory() {
        return domain.memory();
    }

    @Override
    public PageAllocator pages() {
        return domain.pages();
    }

    @Override
    public EventChannels eventChannels() {
        return domain.eventChannels();
    }

    @Override
    public void close() {
        domain.close();
    }

    /// Counts nothing, and never takes a grant back.
    static final class Lasting implements GrantTable {
        private final GrantTable table;
        private final Map<Integer, Integer> ofPages = new HashMap<>();
        private final Map<Integer, Integer> pagesOf = new HashMap<>();

        private Lasting(GrantTable table) {
            this.table = table;
        }

        @Override
        public boolean isLasting() {
            return true;
        }

        @Override
        public int claim() {
            return -1;
        }

        @Override
        public synchronized int claimFor(int gfn) {
            return ofPages.computeIfAbsent(
                    gfn,
                    page -> {
                        int gref = table.claim();
                        pagesOf.put(gref, page);
                        table.grant(gref, DomId.ZERO, page, false);
                        return gref;
                    });
        }

        @Override
        public void unclaim(int gref) {}

        @Override
        public synchronized void grant(int gref, DomId backend, int gfn, boolean readOnly) {
            if (!Integer.valueOf(gfn).equals(pagesOf.get(gref))) {
                throw new AssertionError("gref " + gref + " is not of gfn " + gfn);
            }
        }

        @Override
        public boolean tryRevoke(int gref) {
            return true;
        }

        @Override
        public void quarantine(int gref, int gfn) {
            throw new AssertionError();
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
}
