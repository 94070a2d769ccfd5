package org.splitring.xenbus.store;

/// Keeps a domain that commits all the time from making everybody else's transactions conflict for
/// ever (hostile catalogue H-102, XSA-206).
///
/// A domain pays when a transaction of another had to be given up because of its change. It begins
/// with a credit of 10, and gets 200 each second until it has 10 again. The first conflict costs 1,
/// and each that follows within a second of the one before twice as much, so that a transaction of
/// any length gets its turn after a few attempts. While the credit is below 0 the domain's requests
/// are left unread; it never waits longer than a second. A change is paid for once, however many
/// transactions it spoilt.
///
/// Xen's daemon lets everybody pay for each write while any transaction is open anywhere, which
/// lets one guest that holds a transaction open slow down all others.
final class ConflictCredit {
    static final double MAX = 10;
    static final double PER_SECOND = 200;

    private static final double FLOOR = -PER_SECOND;
    private static final double MAX_COST = 128;
    private static final double NANOS = 1e9;

    private double credit = MAX;
    private double cost = 1;
    private long updatedNanos;
    private long lastConflictNanos;
    private boolean started;
    private long paidGeneration;

    /// Pays for a conflict.
    ///
    /// @param generation of the change that made it
    void pay(long generation, long nowNanos) {
        if (generation <= paidGeneration) {
            return;
        }
        paidGeneration = generation;
        update(nowNanos);
        boolean again = started && nowNanos - lastConflictNanos < NANOS;
        cost = again ? Math.min(MAX_COST, cost * 2) : 1;
        started = true;
        lastConflictNanos = nowNanos;
        credit = Math.max(FLOOR, credit - cost);
    }

    /// How long the domain has to wait now; 0 if it need not.
    long waitNanos(long nowNanos) {
        if (credit >= 0) {
            return 0;
        }
        update(nowNanos);
        return credit >= 0 ? 0 : (long) Math.ceil(-credit / PER_SECOND * NANOS);
    }

    private void update(long nowNanos) {
        if (started) {
            credit = Math.min(MAX, credit + (nowNanos - updatedNanos) / NANOS * PER_SECOND);
        }
        updatedNanos = nowNanos;
    }
}
