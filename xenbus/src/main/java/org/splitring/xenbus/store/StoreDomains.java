package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.RateLimitedLog;

/// Who uses the store: the accounts of all domains, their limits, and who may watch them come and
/// go. Guarded by the lock of the store, which its public methods take themselves.
final class StoreDomains {
    private static final Logger LOG = LoggerFactory.getLogger(StoreDomains.class);
    static final String INTRODUCED = "@introduceDomain";
    static final String RELEASED = "@releaseDomain";

    private final Object lock;
    private final Map<DomId, DomainAccount> accounts = new HashMap<>();
    /// Stay when a domain goes: whoever comes back all the time gets no new log each time.
    private final Map<DomId, RateLimitedLog> logs = new HashMap<>();

    private final Map<DomId, Set<DomainAccount>> targetedBy = new HashMap<>();
    private final Map<String, List<Permission>> specials = new LinkedHashMap<>();
    private StoreLimits limits;
    private long changes;

    StoreDomains(Object lock, StoreLimits limits) {
        this.lock = lock;
        this.limits = limits;
        specials.put(INTRODUCED, List.of(Permission.none(DomId.ZERO)));
        specials.put(RELEASED, List.of(Permission.none(DomId.ZERO)));
        account(DomId.ZERO).introduced = true;
    }

    // With the lock.

    DomainAccount account(DomId domain) {
        return accounts.computeIfAbsent(domain, d -> new DomainAccount(d, log(d)));
    }

    private RateLimitedLog log(DomId domain) {
        return logs.computeIfAbsent(domain, d -> new RateLimitedLog(LOG));
    }

    @Nullable DomainAccount known(DomId domain) {
        return accounts.get(domain);
    }

    Iterable<DomainAccount> all() {
        return accounts.values();
    }

    StoreLimits limitsOfAll() {
        return limits;
    }

    /// Grows with each change of what a dump holds of this.
    long changes() {
        return changes;
    }

    void changed() {
        changes++;
    }

    /// Ends an account, and every right that others have because of the domain.
    void forget(DomId domain) {
        DomainAccount account = account(domain);
        accounts.remove(domain);
        target(account, null);
        for (DomainAccount other : targetedBy.getOrDefault(domain, Set.of())) {
            other.setTarget(null);
        }
        targetedBy.remove(domain);
        specials.replaceAll((name, rights) -> without(domain, rights));
        changes++;
    }

    /// Sets whose rights a domain has beside its own.
    private void target(DomainAccount account, @Nullable DomId target) {
        DomId before = account.target();
        Set<DomainAccount> others = before == null ? null : targetedBy.get(before);
        if (others != null && others.remove(account) && others.isEmpty()) {
            targetedBy.remove(before);
        }
        account.setTarget(target);
        if (target != null) {
            targetedBy.computeIfAbsent(target, d -> new HashSet<>()).add(account);
        }
    }

    /// Rights without those of a domain. What it owned is domain 0's: whoever was named next does
    /// not become the owner.
    static List<Permission> without(DomId domain, List<Permission> rights) {
        List<Permission> left = new ArrayList<>(rights);
        Permission first = left.getFirst();
        if (first.domain().equals(domain)) {
            left.set(0, new Permission(first.access(), DomId.ZERO));
        }
        left.subList(1, left.size()).removeIf(right -> right.domain().equals(domain));
        return List.copyOf(left);
    }

    void restore(Map<String, List<Permission>> rights, List<StoreSnapshot.KnownDomain> introduced) {
        specials.putAll(rights);
        for (StoreSnapshot.KnownDomain known : introduced) {
            DomainAccount account = account(known.domain());
            account.introduced = true;
            account.features = known.features();
            account.setOwnLimits(known.limits());
            target(account, known.target());
        }
    }

    /// For a dump: everybody but domain 0.
    List<StoreSnapshot.KnownDomain> introducedGuests() {
        List<StoreSnapshot.KnownDomain> guests = new ArrayList<>();
        for (DomainAccount account : accounts.values()) {
            if (account.introduced && account.isLimited()) {
                guests.add(
                        new StoreSnapshot.KnownDomain(
                                account.domain,
                                account.features,
                                account.ownLimits(),
                                account.target()));
            }
        }
        return guests;
    }

    Map<String, List<Permission>> specials() {
        return new TreeMap<>(specials);
    }

    boolean maySeeSpecial(DomainAccount watcher, String name) {
        List<Permission> rights = specials.get(name);
        return rights != null && Node.access(rights, watcher.domain, watcher.target()).reads();
    }

    void setSpecialRights(DomainAccount account, String name, List<Permission> rights)
            throws StoreException {
        List<Permission> now = specials.get(name);
        if (now == null) {
            throw new StoreException(StoreError.EINVAL, "no special name: " + name);
        }
        if (!Node.owned(now, account.domain, account.target())) {
            throw new StoreException(StoreError.EACCES, "rights of " + name);
        }
        specials.put(name, List.copyOf(rights));
        changes++;
    }

    // Any thread.

    /// Writes a line that a domain can cause as often as it likes (hostile catalogue H-129).
    void warn(DomId domain, String what) {
        synchronized (lock) {
            log(domain).warn("domain " + domain, what);
        }
    }

    /// How many such lines wait to be counted in the next one.
    long suppressedLines(DomId domain) {
        synchronized (lock) {
            return log(domain).suppressed();
        }
    }

    boolean isIntroduced(DomId domain) {
        synchronized (lock) {
            DomainAccount account = accounts.get(domain);
            return account != null && account.introduced;
        }
    }

    private DomainAccount introduced(DomId domain) throws StoreException {
        DomainAccount account = accounts.get(domain);
        if (account == null || !account.introduced) {
            throw new StoreException(StoreError.ENOENT, "domain " + domain + " is not known");
        }
        return account;
    }

    /// @throws StoreException [StoreError#ENOENT] when there is no such domain
    void requireIntroduced(DomId domain) throws StoreException {
        synchronized (lock) {
            introduced(domain);
        }
    }

    /// Gives a domain the rights of another beside its own.
    void setTarget(DomId domain, DomId target) throws StoreException {
        synchronized (lock) {
            DomainAccount account = introduced(domain);
            target(account, introduced(target).domain);
            changes++;
        }
    }

    /// Limits of domains that have none of their own.
    StoreLimits limits() {
        synchronized (lock) {
            return limits;
        }
    }

    void setLimit(Quota quota, int value) {
        synchronized (lock) {
            limits = limits.with(quota, value);
            changes++;
        }
    }

    StoreLimits limits(DomId domain) throws StoreException {
        synchronized (lock) {
            return introduced(domain).limits(limits);
        }
    }

    void setLimit(DomId domain, Quota quota, int value) throws StoreException {
        synchronized (lock) {
            DomainAccount account = introduced(domain);
            account.setOwnLimits(account.limits(limits).with(quota, value));
            changes++;
        }
    }

    int features(DomId domain) throws StoreException {
        synchronized (lock) {
            return introduced(domain).features;
        }
    }

    /// What a domain's page says, whether or not it was introduced already.
    int pageFeatures(DomId domain) {
        synchronized (lock) {
            return account(domain).features;
        }
    }

    void setFeatures(DomId domain, int features) throws StoreException {
        synchronized (lock) {
            introduced(domain).features = features;
            changes++;
        }
    }

    /// What a domain uses, by the names of the quotas.
    Map<String, Long> usage(DomId domain) throws StoreException {
        synchronized (lock) {
            DomainAccount account = introduced(domain);
            Map<String, Long> usage = new LinkedHashMap<>();
            usage.put(Quota.NODES.wireName(), (long) account.owned.nodes());
            usage.put(Quota.WATCHES.wireName(), (long) account.watches);
            usage.put(Quota.TRANSACTIONS.wireName(), (long) account.transactions);
            usage.put(Quota.MEMORY.wireName(), account.bytes());
            return usage;
        }
    }
}
