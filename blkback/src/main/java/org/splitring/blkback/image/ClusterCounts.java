package org.splitring.blkback.image;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/// How many owners the tables of an image give to each cluster. Memory is made for the parts of the
/// file that have any, up to a limit.
final class ClusterCounts {
    private static final int PAGE_BITS = 12;
    private static final int MAX_PAGES = 1 << 15; // 128 Mi clusters: 8 TiB at 64 KiB each

    private final Map<Long, int[]> pages = new HashMap<>();
    private long used;

    /// Counts one more owner.
    void add(long cluster) throws IOException {
        int[] page = pages.get(cluster >>> PAGE_BITS);
        if (page == null) {
            if (pages.size() == MAX_PAGES) {
                throw new IOException("it is too large to be checked in memory");
            }
            page = new int[1 << PAGE_BITS];
            pages.put(cluster >>> PAGE_BITS, page);
        }
        int index = (int) (cluster & ((1 << PAGE_BITS) - 1));
        used += page[index] == 0 ? 1 : 0;
        page[index]++;
    }

    long get(long cluster) {
        int[] page = pages.get(cluster >>> PAGE_BITS);
        return page == null ? 0 : page[(int) (cluster & ((1 << PAGE_BITS) - 1))];
    }

    /// How many clusters have an owner.
    long used() {
        return used;
    }

    /// Does something for every cluster that has an owner.
    void forEach(Visitor visitor) throws IOException {
        for (Map.Entry<Long, int[]> page : pages.entrySet()) {
            int[] counts = page.getValue();
            for (int i = 0; i < counts.length; i++) {
                if (counts[i] != 0) {
                    visitor.visit((page.getKey() << PAGE_BITS) + i, counts[i]);
                }
            }
        }
    }

    /// Takes a cluster and how many owners it has.
    interface Visitor {
        void visit(long cluster, long count) throws IOException;
    }
}
