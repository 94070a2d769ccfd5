package org.splitring.blkfront;

import org.splitring.hypervisor.GrantTable;

/// Grant references of a connection that are not in use, the one used last on top. Claimed at
/// connect; taking and giving back is an array access. On the loop.
final class GrefStack {
    private final GrantTable grants;
    private final int[] free;
    private int count;

    /// @param grefs claimed references, which this object has from now on
    GrefStack(GrantTable grants, int[] grefs) {
        this.grants = grants;
        free = grefs.clone();
        count = free.length;
    }

    int size() {
        return count;
    }

    int take() {
        return free[--count];
    }

    /// @param gref taken here, and revoked
    void giveBack(int gref) {
        free[count++] = gref;
    }

    /// Gives all that are here to the grant table.
    void unclaim() {
        while (count > 0) {
            grants.unclaim(take());
        }
    }
}
