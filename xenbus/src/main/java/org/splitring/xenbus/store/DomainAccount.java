package org.splitring.xenbus.store;

import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;

/// What one domain has and may have. It begins with the first mention of the domain and ends with
/// its release, so that the next domain of that number starts with nothing (hostile catalogue
/// H-124). Guarded by the lock of the store.
final class DomainAccount {
    private static final Logger LOG = LoggerFactory.getLogger(DomainAccount.class);

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
    private boolean warned;

    DomainAccount(DomId domain) {
        this.domain = domain;
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
        warn(ofAll);
    }

    void refund(long bytes) {
        otherBytes -= bytes;
    }

    /// Says once that there is much; again when it had become less meanwhile.
    void warn(StoreLimits ofAll) {
        boolean much = isLimited() && limits(ofAll).isExceeded(Quota.SOFT_MEMORY, bytes());
        if (much && !warned) {
            LOG.warn("domain {} has {} bytes in the store, more than usual", domain, bytes());
            warned = true;
        } else if (warned && bytes() < limits(ofAll).get(Quota.SOFT_MEMORY) / 2) {
            warned = false;
        }
    }
}
