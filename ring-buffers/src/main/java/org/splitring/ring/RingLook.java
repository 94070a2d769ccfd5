package org.splitring.ring;

/// Where a ring stands at one moment, for people who look for a fault: [BackRing#look] fills it on
/// the loop, without allocating, and others read it when that has happened.
///
/// Everything is a copy. What is said to be in shared memory was read once and is shown as it was
/// found; the frontend may have written anything there, and nothing is decided by it.
public final class RingLook {
    int entries;
    int reqProd;
    int reqEvent;
    int rspProd;
    int rspEvent;
    int reqCons;
    int rspProdPvt;
    int rspProdPushed;
    long notifications;
    boolean broken;

    /// Nothing seen yet.
    public RingLook() {}

    /// How many slots the ring has.
    public int entries() {
        return entries;
    }

    /// In shared memory, the frontend's.
    public int reqProd() {
        return reqProd;
    }

    /// In shared memory, ours.
    public int reqEvent() {
        return reqEvent;
    }

    /// In shared memory, ours: [#rspProdPushed], unless the frontend has overwritten it.
    public int rspProd() {
        return rspProd;
    }

    /// In shared memory, the frontend's.
    public int rspEvent() {
        return rspEvent;
    }

    /// The next request that we take.
    public int reqCons() {
        return reqCons;
    }

    /// Where our next response goes.
    public int rspProdPvt() {
        return rspProdPvt;
    }

    /// What we have published last.
    public int rspProdPushed() {
        return rspProdPushed;
    }

    /// How often a push has wanted the frontend woken.
    public long notifications() {
        return notifications;
    }

    /// Whether the frontend has broken the ring.
    public boolean isBroken() {
        return broken;
    }
}
