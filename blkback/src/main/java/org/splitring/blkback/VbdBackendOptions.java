package org.splitring.blkback;

/// Choices of a backend.
///
/// @param workers run reads and writes that have to wait for storage, such as [DiskWorkers]
/// @param maxRingPageOrder the largest ring offered, 0 to 4
/// @param budget requests taken before other devices of the loop have their turn
/// @param features what is announced, where the disk allows it
public record VbdBackendOptions(
        WorkShares workers, int maxRingPageOrder, int budget, VbdFeatures features) {
    /// Rings of 16 pages.
    static final int MAX_PAGE_ORDER = 4;

    public VbdBackendOptions {
        if (maxRingPageOrder < 0 || maxRingPageOrder > MAX_PAGE_ORDER) {
            throw new IllegalArgumentException("maxRingPageOrder not in 0..4: " + maxRingPageOrder);
        }
        if (budget <= 0) {
            throw new IllegalArgumentException("budget: " + budget);
        }
    }

    /// Rings of up to 16 pages, 64 requests at a time, all features.
    ///
    /// @param workers usually shared by all devices of the driver domain
    public static VbdBackendOptions of(WorkShares workers) {
        return new VbdBackendOptions(workers, MAX_PAGE_ORDER, 64, VbdFeatures.ALL);
    }

    public VbdBackendOptions withMaxRingPageOrder(int order) {
        return new VbdBackendOptions(workers, order, budget, features);
    }

    public VbdBackendOptions withWorkers(WorkShares other) {
        return new VbdBackendOptions(other, maxRingPageOrder, budget, features);
    }

    public VbdBackendOptions withFeatures(VbdFeatures other) {
        return new VbdBackendOptions(workers, maxRingPageOrder, budget, other);
    }
}
