package org.splitring.xenbus.store;

import java.util.EnumMap;
import java.util.Map;

/// What one guest may use of the store, over all its connections: a number for each [Quota], where
/// 0 means that there is no limit. Immutable. Domain 0 is not limited by these.
///
/// Beyond a limit the one operation is refused and nobody is disturbed.
public final class StoreLimits {
    /// Limits of Xen's C xenstored.
    public static final StoreLimits DEFAULT = usual();

    private final Map<Quota, Integer> values;

    private StoreLimits(Map<Quota, Integer> values) {
        this.values = values;
    }

    private static StoreLimits usual() {
        Map<Quota, Integer> values = new EnumMap<>(Quota.class);
        for (Quota quota : Quota.values()) {
            values.put(quota, quota.usual());
        }
        return new StoreLimits(values);
    }

    /// The limit; 0 for none.
    public int get(Quota quota) {
        Integer limit = values.get(quota);
        return limit == null ? 0 : limit;
    }

    /// Whether so many are more than allowed.
    boolean isExceeded(Quota quota, long wanted) {
        int limit = get(quota);
        return limit != 0 && wanted > limit;
    }

    /// The same limits but for one.
    ///
    /// @param value 0 for none
    public StoreLimits with(Quota quota, int value) {
        if (value < 0) {
            throw new IllegalArgumentException(quota.wireName() + " " + value);
        }
        Map<Quota, Integer> changed = new EnumMap<>(values);
        changed.put(quota, value);
        return new StoreLimits(changed);
    }
}
