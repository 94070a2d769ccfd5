package org.splitring.xenbus;

import org.splitring.ring.RingLook;

/// Where one ring of requests of a connected device stands, as its backend sees it: for people who
/// look for a fault. Indices run freely and are shown as the unsigned numbers that they are. What
/// is in shared memory is shown as it was found there.
///
/// @param name `queue-0`, `queue-0 tx`, `control`
/// @param entries how many slots the ring has
/// @param reqProd in shared memory, the frontend's
/// @param reqEvent in shared memory, ours: we are woken when `req_prod` passes it
/// @param rspProd in shared memory, ours
/// @param rspEvent in shared memory, the frontend's: it is woken when `rsp_prod` passes it
/// @param reqCons of ours: the next request that is taken
/// @param rspProdPvt of ours: where the next response goes
/// @param rspProdPushed of ours: what was written to `rsp_prod` last
/// @param broken whether the frontend has broken the ring
/// @param port the event channel's
/// @param eventsSent for responses on this ring
/// @param eventsReceived by the port; two rings may have one
/// @param eventsSpurious those of them that brought no work
public record RingView(
        String name,
        int entries,
        long reqProd,
        long reqEvent,
        long rspProd,
        long rspEvent,
        long reqCons,
        long rspProdPvt,
        long rspProdPushed,
        boolean broken,
        int port,
        long eventsSent,
        long eventsReceived,
        long eventsSpurious) {

    static RingView of(RingObserver.Observed ring, RingLook look) {
        return new RingView(
                ring.name(),
                look.entries(),
                Integer.toUnsignedLong(look.reqProd()),
                Integer.toUnsignedLong(look.reqEvent()),
                Integer.toUnsignedLong(look.rspProd()),
                Integer.toUnsignedLong(look.rspEvent()),
                Integer.toUnsignedLong(look.reqCons()),
                Integer.toUnsignedLong(look.rspProdPvt()),
                Integer.toUnsignedLong(look.rspProdPushed()),
                look.isBroken(),
                ring.port().port(),
                look.notifications(),
                ring.poller().events(),
                ring.poller().spuriousEvents());
    }
}
