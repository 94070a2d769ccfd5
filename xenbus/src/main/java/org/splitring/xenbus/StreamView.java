package org.splitring.xenbus;

/// Where a pair of byte rings of a connected device stands, as its backend sees it: for people who
/// look for a fault. Indices are shown as the unsigned numbers that they are; those of the frontend
/// as they were found in shared memory.
///
/// @param name `console`, `ring-0`
/// @param outBytes how long the ring is that the guest writes
/// @param outProd the frontend's
/// @param outCons ours
/// @param inBytes how long the ring is that the guest reads
/// @param inProd ours
/// @param inCons the frontend's
/// @param broken whether the frontend has put an impossible index there
/// @param port the event channel's
/// @param eventsSent for bytes that were taken or put
/// @param eventsReceived by the port
/// @param eventsSpurious those of them that brought nothing
public record StreamView(
        String name,
        int outBytes,
        long outProd,
        long outCons,
        int inBytes,
        long inProd,
        long inCons,
        boolean broken,
        int port,
        long eventsSent,
        long eventsReceived,
        long eventsSpurious) {}
