package org.splitring.bridge;

import java.util.Arrays;

/// Which multicast groups somebody behind one port listens to, by VLAN and MAC address: the sums
/// of IGMP and MLD reports that came in there.
///
/// Of bounded size: a port that reports more groups than fit, or reports that cannot be read,
/// gets all
/// groups for a while. So nobody misses what they asked for, and no port's reports cost
/// another one's. Lookups take as long as the table is full, which is at most half. The
/// network's loop.
final class GroupMembers {
    /// RFC 3376 §8.4 and RFC 3810 §9.4: 2 queries of 125 s and 10 s to answer.
    static final int MEMBER_SECONDS = 260;

    /// How long the last member has to report again after somebody left: RFC 3376 §8.8, and one.
    static final int LEAVE_SECONDS = 3;

    static final int CAPACITY = 64;
    private static final int SLOTS = 2 * CAPACITY;

    private final long[] keys = new long[SLOTS];
    private final int[] until = new int[SLOTS];
    private final boolean[] used = new boolean[SLOTS];
    private int count;
    private int allUntil;
    private boolean all;

    private static int slot(long key) {
        return (int) ((key * 0x9E37_79B9_7F4A_7C15L) >>> 57);
    }

    private int slotOf(long key) {
        int i = slot(key);
        while (used[i] && keys[i] != key) {
            i = i + 1 & (SLOTS - 1);
        }
        return i;
    }

    boolean contains(long key, int nowSecond) {
        if (wantsAll(nowSecond)) {
            return true;
        }
        int i = slotOf(key);
        return used[i] && until[i] - nowSecond > 0;
    }

    void join(long key, int nowSecond) {
        int i = slotOf(key);
        if (!used[i]) {
            if (wantsAll(nowSecond)) {
                joinAll(nowSecond);
                return;
            }
            if (count == CAPACITY) {
                expire(nowSecond);
                i = slotOf(key);
            }
            if (count == CAPACITY) {
                joinAll(nowSecond);
                return;
            }
            used[i] = true;
            keys[i] = key;
            count++;
        }
        until[i] = nowSecond + MEMBER_SECONDS;
    }

    void leave(long key, int nowSecond) {
        int i = slotOf(key);
        if (used[i] && until[i] - nowSecond > LEAVE_SECONDS) {
            until[i] = nowSecond + LEAVE_SECONDS;
        }
    }

    /// Gives the port every group: what it listens to is not known.
    void joinAll(int nowSecond) {
        all = true;
        allUntil = nowSecond + MEMBER_SECONDS;
    }

    private boolean wantsAll(int nowSecond) {
        if (all && allUntil - nowSecond <= 0) {
            all = false;
        }
        return all;
    }

    /// Made anew without what is over. Happens at most once in [#MEMBER_SECONDS]: if nothing is
    /// over, the port gets all groups.
    private void expire(int nowSecond) {
        long[] oldKeys = keys.clone();
        int[] oldUntil = until.clone();
        boolean[] oldUsed = used.clone();
        Arrays.fill(used, false);
        count = 0;
        for (int i = 0; i < SLOTS; i++) {
            if (oldUsed[i] && oldUntil[i] - nowSecond > 0) {
                int to = slotOf(oldKeys[i]);
                used[to] = true;
                keys[to] = oldKeys[i];
                until[to] = oldUntil[i];
                count++;
            }
        }
    }
}
