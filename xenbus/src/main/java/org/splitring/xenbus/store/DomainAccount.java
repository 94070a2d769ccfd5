package org.splitring.xenbus.store;

import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.RateLimitedLog;

/// What one domain has and may have. It begins with the first mention of the domain and ends with
/// its release, so that the next domain of that number starts with nothing (hostile catalogue
/// H-124). Guarded by the lock of the store.
final class DomainAccount {
    final DomId domain;
    final ConflictCredit credit = new ConflictCredit();
    final Set<TreeConnection> connections = new LinkedHashSet<>();
    Usage owned = Usage.NONE;
    int watches;
    int transactions;
    boolean introduced;
    int features = ControlOperations.SUPPORTED_FEATURES;
    private long otherBytes;
    private @Nullable StoreLimits ownLimits;
    private @Nullable DomId target;
    private final RateLimitedLog log;
    private boolean warned;

    /// @param log for lines that the domain can cause
    DomainAccount(DomId domain, RateLimitedLog log) {
        this.domain = domain;
        this.log = log;
    }

    boolean isLimited() {
        return !domain.equals(DomId.ZERO);
    }

    /// Bytes of nodes, watches and open transactions.
    long bytes() {
        return owned.bytes() + otherBytes;
    }

    /// Bytes of watches and open transactions.
    long otherBytes() {
        return otherBytes;
    }

    /// Its limits, if they are not those of everybody.
    @Nullable StoreLimits ownLimits() {
        return ownLimits;
    }

    void setOwnLimits(@Nullable StoreLimits limits) {
        ownLimits = limits;
    }

    StoreLimits limits(StoreLimits ofAll) {
        return ownLimits == null ? ofAll : ownLimits;
    }

    /// The domain whose rights it has beside its own (SET_TARGET).
    @Nullable DomId target() {
        return target;
    }

    void setTarget(@Nullable DomId domain) {
        target = domain;
    }

    /// @throws StoreException when the domain would have more than allowed
    void check(StoreLimits ofAll, Quota quota, long wanted, StoreError error)
            throws StoreException {
        if (isLimited() && limits(ofAll).isExceeded(quota, wanted)) {
            throw new StoreException(
                    error,
                    "domain " + domain + " would have " + wanted + " of " + quota.wireName());
        }
    }

    /// Counts bytes of watches and transactions, or counts them off.
    ///
    /// @throws StoreException [StoreError#ENOMEM] when it would be too many; nothing is counted
    void charge(StoreLimits ofAll, long bytes) throws StoreException {
        if (bytes > 0) {
            check(ofAll, Quota.MEMORY, bytes() + bytes, StoreError.ENOMEM);
        }
        otherBytes += bytes;
        warnIfMuch(ofAll);
    }

    void refund(long bytes) {
        otherBytes -= bytes;
    }

    /// Whether there has come to be much, which is worth a log line; not again before it has become
    /// clearly less.
    private boolean isNewlyMuch(StoreLimits ofAll) {
        boolean much = isLimited() && limits(ofAll).isExceeded(Quota.SOFT_MEMORY, bytes());
        boolean newly = much && !warned;
        if (newly) {
            warned = true;
        } else if (warned && bytes() < limits(ofAll).get(Quota.SOFT_MEMORY) / 2) {
            warned = false;
        }
        return newly;
    }

    /// Says it when the domain has come to use much.
    void warnIfMuch(StoreLimits ofAll) {
        if (isNewlyMuch(ofAll)) {
            log.warn("domain " + domain, bytes() + " bytes in the store, more than usual");
        }
    }
}
