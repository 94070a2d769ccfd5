package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.RingKeys;

/// What one ring is made of: pages of the guest, granted to the backend, and a port. Made and
/// given back on the control plane.
final class VbdRing {
    private final GuestDomain guest;
    private final int firstGfn;
    private final int[] grefs;
    private final EventChannel port;
    private final FrontRing ring;

    private VbdRing(
            GuestDomain guest, int firstGfn, int[] grefs, EventChannel port, FrontRing ring) {
        this.guest = guest;
        this.firstGfn = firstGfn;
        this.grefs = grefs;
        this.port = port;
        this.ring = ring;
    }

    /// When this throws everything has been given back.
    static VbdRing make(GuestDomain guest, DomId backend, int pages)
            throws HandshakeException, EventChannelException {
        int gfn = guest.pages().allocate(pages); // zeroed: nothing of ours reaches the backend
        if (gfn < 0) {
            throw new HandshakeException(
                    "no " + pages + " adjacent pages of guest memory for the ring");
        }
        GrantTable grants = guest.grants();
        MemorySegment memory = guest.memory().pages(gfn, pages);
        FrontRing ring = FrontRing.init(memory, BlkifLayout.X86_64.entrySizeBytes());
        int[] grefs = claimFor(grants, gfn, pages);
        EventChannel port = null;
        try {
            if (grefs.length < pages) {
                throw new HandshakeException("no grant references left");
            }
            port = guest.eventChannels().allocUnbound(backend);
        } finally {
            if (port == null) {
                unclaim(grants, grefs);
                guest.pages().free(gfn, pages);
            }
        }
        for (int page = 0; page < pages; page++) {
            grants.grant(grefs[page], backend, gfn + page, false);
        }
        return new VbdRing(guest, gfn, grefs, port, ring);
    }

    /// References for pages that lie next to each other; fewer where there are not so many.
    static int[] claimFor(GrantTable grants, int firstGfn, int count) {
        return claim(count, i -> grants.claimFor(firstGfn + i));
    }

    /// References for whichever pages; fewer at a time where there are not so many.
    static int[] claim(GrantTable grants, int count) {
        return claim(count, i -> grants.claim());
    }

    private static int[] claim(int count, IntUnaryOperator one) {
        int[] grefs = new int[count];
        for (int i = 0; i < count; i++) {
            grefs[i] = one.applyAsInt(i);
            if (grefs[i] < 0) {
                return Arrays.copyOf(grefs, i);
            }
        }
        return grefs;
    }

    static void unclaim(GrantTable grants, int[] grefs) {
        for (int gref : grefs) {
            grants.unclaim(gref);
        }
    }

    FrontRing ring() {
        return ring;
    }

    EventChannel port() {
        return port;
    }

    RingKeys keys() {
        List<Integer> all = IntStream.of(grefs).boxed().toList();
        return new RingKeys(all, port.port(), RingKeys.X86_64);
    }

    /// Gives everything back; what the backend holds goes to the grant table's care.
    void close() {
        port.close();
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
