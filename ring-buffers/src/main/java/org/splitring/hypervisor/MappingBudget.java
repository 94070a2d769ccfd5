package org.splitring.hypervisor;

import java.util.concurrent.atomic.AtomicInteger;

/// How many grants may be mapped at once, counted over everybody who takes from it: the global
/// limit beside the limit per guest (hostile catalogue H-026). Any thread; no locks.
public final class MappingBudget {
    private final int limit;
    private final AtomicInteger taken = new AtomicInteger();

    /// @param limit most that can be taken at once
    public MappingBudget(int limit) {
        if (limit < 0) {
            throw new IllegalArgumentException("mapping limit " + limit);
        }
        this.limit = limit;
    }

    /// Takes as many as there are, up to `wanted`.
    ///
    /// @return how many were taken, 0 to `wanted`
    public int takeUpTo(int wanted) {
        while (true) {
            int now = taken.get();
            int grant = Math.min(wanted, limit - now);
            if (grant <= 0) {
                return 0;
            }
            if (taken.compareAndSet(now, now + grant)) {
                return grant;
            }
        }
    }

    /// Gives back what was taken.
    public void give(int count) {
        if (taken.addAndGet(-count) < 0) {
            throw new IllegalStateException("more mappings given back than taken: " + count);
        }
    }

    public int limit() {
        return limit;
    }

    public int taken() {
        return taken.get();
    }
}
