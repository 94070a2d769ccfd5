package org.splitring.xenbus.device;

import org.splitring.ring.SringLayout;

/// Sizes of a device's ring of requests.
///
/// @param requestBytes size of a request in its slot
/// @param responseBytes size of a response; a slot has room for the larger of the two
/// @param grantsPerRequest most pages that a request names and that are mapped at once for it; 0
///     when pages are only copied
/// @param maxPageOrder the ring has at most `1 << maxPageOrder` pages
/// @param budget requests taken before other devices of the loop have their turn
public record RingShape(
        int requestBytes, int responseBytes, int grantsPerRequest, int maxPageOrder, int budget) {
    public RingShape {
        if (requestBytes < 1 || responseBytes < 1 || grantsPerRequest < 0 || budget < 1) {
            throw new IllegalArgumentException(
                    "ring of requests of %d and responses of %d bytes, %d grants, budget %d"
                            .formatted(requestBytes, responseBytes, grantsPerRequest, budget));
        }
        if (maxPageOrder < 0 || maxPageOrder > SringLayout.MAX_PAGE_ORDER) {
            throw new IllegalArgumentException("ring page order " + maxPageOrder);
        }
    }

    /// A ring of one page whose requests are copied to and from granted pages, 64 at a time.
    public static RingShape of(int requestBytes, int responseBytes) {
        return new RingShape(requestBytes, responseBytes, 0, 0, 64);
    }

    /// The same with requests that map pages.
    public RingShape withGrantsPerRequest(int grants) {
        return new RingShape(requestBytes, responseBytes, grants, maxPageOrder, budget);
    }

    /// The same with rings of up to `1 << order` pages.
    public RingShape withMaxPageOrder(int order) {
        return new RingShape(requestBytes, responseBytes, grantsPerRequest, order, budget);
    }

    /// Distance of two slots.
    public int entryBytes() {
        return Math.max(requestBytes, responseBytes);
    }

    /// How many requests a ring of so many pages holds.
    public int entries(int pages) {
        return SringLayout.entries((long) pages * SringLayout.PAGE_SIZE_BYTES, entryBytes());
    }
}
