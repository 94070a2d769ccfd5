package org.splitring.bridge;

import java.security.SecureRandom;
import java.util.Arrays;

/// Which port an address was last seen at. Primitive arrays all through: nothing is allocated
/// after construction.
///
///     slots    open addressing, linear probing, at most half full: key -> entry
///     entries  a slab; those of one port are two lists: what was learned, in the order in which it
///              was last seen, and what is fixed (static and sticky)
///
/// **Bounds** (N-42). There is room for `capacity` entries, and for `perPort` of one port. A port
/// that has had its share loses its own entry that was not seen for the longest time; when the
/// table is full, a port that has none gets none. No port can push out another's entries, and
/// static entries are never pushed out. The hash is keyed, so that nobody can choose addresses
/// that fall
/// together.
///
/// Keys are `vlan << 48 | mac`. Times are whole seconds of the network's clock. One thread.
final class MacTable {
    /// Not in the table.
    static final int NONE = -1;

    /// What [#learn] says: known at that port, or new there.
    static final int HERE = 0;

    /// What [#learn] says: was at another port until now.
    static final int MOVED = 1;

    /// What [#learn] says: is fixed to another port.
    static final int REFUSED = 2;

    private static final byte LEARNED = 0;
    private static final byte STICKY = 1;
    private static final byte STATIC = 2;

    private final long multiplier;
    private final long mask;
    private final int shift;

    private final long[] slotKey;
    private final int[] slotEntry;

    private final long[] key;
    private final int[] port;
    private final int[] seenSeconds;
    private final byte[] kind;
    private final int[] older;
    private final int[] newer;
    private int free;
    private int count;

    // Ends of the lists: of learned entries at the port's index, of fixed ones FIXED further on.
    private static final int FIXED = VirtualNetwork.MAX_PORTS;
    private final int[] oldest = new int[2 * VirtualNetwork.MAX_PORTS];
    private final int[] newest = new int[2 * VirtualNetwork.MAX_PORTS];
    private final int[] learnedOfPort = new int[VirtualNetwork.MAX_PORTS];

    /// @param capacity most entries in all
    MacTable(int capacity) {
        int slots = Integer.highestOneBit(Math.max(8, capacity * 2 - 1)) * 2;
        SecureRandom random = new SecureRandom();
        multiplier = random.nextLong() | 1;
        mask = random.nextLong();
        shift = 64 - Integer.numberOfTrailingZeros(slots);
        slotKey = new long[slots];
        slotEntry = new int[slots];
        Arrays.fill(slotEntry, NONE);
        key = new long[capacity];
        port = new int[capacity];
        seenSeconds = new int[capacity];
        kind = new byte[capacity];
        older = new int[capacity];
        newer = new int[capacity];
        for (int i = 0; i < capacity; i++) {
            newer[i] = i + 1 < capacity ? i + 1 : NONE;
        }
        free = capacity == 0 ? NONE : 0;
        Arrays.fill(oldest, NONE);
        Arrays.fill(newest, NONE);
    }

    private int slot(long k) {
        // Two multiplications with secrets between them: an attacker who knows neither cannot aim.
        long h = (k ^ mask) * multiplier;
        h = (h ^ h >>> 29) * 0x9E37_79B9_7F4A_7C15L;
        return (int) (h >>> shift);
    }

    private int slotOf(long k) {
        int last = slotEntry.length - 1;
        int i = slot(k);
        while (slotEntry[i] != NONE) {
            if (slotKey[i] == k) {
                return i;
            }
            i = i + 1 & last;
        }
        return ~i;
    }

    /// The entry of `k`, or [#NONE].
    int find(long k) {
        int i = slotOf(k);
        return i < 0 ? NONE : slotEntry[i];
    }

    int portOf(int entry) {
        return port[entry];
    }

    /// When the address was last seen; static and sticky entries do not age.
    boolean isFresh(int entry, int nowSeconds, int ageingSeconds) {
        return kind[entry] != LEARNED || nowSeconds - seenSeconds[entry] < ageingSeconds;
    }

    boolean isStatic(int entry) {
        return kind[entry] == STATIC;
    }

    /// Notes that a frame from `k` came in at port `p`.
    ///
    /// @param perPort most learned entries of this port
    /// @param sticky whether the address stays at this port until the port goes
    /// @return [#HERE], [#MOVED], or [#REFUSED], when frames from that address may not come from
    ///     that port
    int learn(long k, int p, int nowSeconds, int perPort, boolean sticky, int ageingSeconds) {
        int i = slotOf(k);
        if (i >= 0) {
            int entry = slotEntry[i];
            if (port[entry] == p) {
                if (seenSeconds[entry] != nowSeconds) {
                    seenSeconds[entry] = nowSeconds;
                    unlink(entry);
                    link(entry);
                }
                return HERE;
            }
            if (kind[entry] != LEARNED) {
                return REFUSED;
            }
            boolean fresh = isFresh(entry, nowSeconds, ageingSeconds);
            remove(i);
            add(k, p, nowSeconds, perPort, sticky ? STICKY : LEARNED, ageingSeconds);
            return fresh ? MOVED : HERE;
        }
        add(k, p, nowSeconds, perPort, sticky ? STICKY : LEARNED, ageingSeconds);
        return HERE;
    }

    private void add(long k, int p, int nowSeconds, int perPort, byte how, int ageingSeconds) {
        if (learnedOfPort[p] >= perPort) {
            if (!evictOldest(p)) {
                return; // not learned: frames for it are flooded
            }
        } else if (free == NONE && !evictOldest(p)) {
            return;
        }
        insert(k, p, nowSeconds, how);
        // A little tidying with each new entry keeps what is stale from taking places.
        int stale = oldest[p];
        if (stale != NONE && !isFresh(stale, nowSeconds, ageingSeconds)) {
            remove(slotOf(key[stale]));
        }
    }

    /// Adds or replaces an entry that stays until [#removePort].
    ///
    /// @return `false` when the table is full
    boolean addStatic(long k, int p) {
        int i = slotOf(k);
        if (i >= 0) {
            remove(i);
        }
        if (free == NONE) {
            return false;
        }
        insert(k, p, 0, STATIC);
        return true;
    }

    private void insert(long k, int p, int nowSeconds, byte how) {
        int entry = free;
        free = newer[entry];
        int i = ~slotOf(k);
        slotKey[i] = k;
        slotEntry[i] = entry;
        key[entry] = k;
        seenSeconds[entry] = nowSeconds;
        kind[entry] = how;
        port[entry] = p;
        count++;
        if (how != STATIC) {
            learnedOfPort[p]++;
        }
        link(entry);
    }

    private boolean evictOldest(int p) {
        int entry = oldest[p];
        if (entry == NONE) {
            return false;
        }
        remove(slotOf(key[entry]));
        return true;
    }

    private int list(int entry) {
        return kind[entry] == LEARNED ? port[entry] : FIXED + port[entry];
    }

    private void link(int entry) {
        int list = list(entry);
        older[entry] = newest[list];
        newer[entry] = NONE;
        if (newest[list] == NONE) {
            oldest[list] = entry;
        } else {
            newer[newest[list]] = entry;
        }
        newest[list] = entry;
    }

    private void unlink(int entry) {
        int list = list(entry);
        if (older[entry] == NONE) {
            oldest[list] = newer[entry];
        } else {
            newer[older[entry]] = newer[entry];
        }
        if (newer[entry] == NONE) {
            newest[list] = older[entry];
        } else {
            older[newer[entry]] = older[entry];
        }
    }

    private void remove(int slot) {
        int entry = slotEntry[slot];
        unlink(entry);
        if (kind[entry] != STATIC) {
            learnedOfPort[port[entry]]--;
        }
        newer[entry] = free;
        free = entry;
        count--;
        // Linear probing without tombstones: what was pushed past this slot moves back.
        int last = slotEntry.length - 1;
        int hole = slot;
        int i = slot;
        while (true) {
            i = i + 1 & last;
            if (slotEntry[i] == NONE) {
                break;
            }
            int home = slot(slotKey[i]);
            if ((i - home & last) >= (i - hole & last)) {
                slotKey[hole] = slotKey[i];
                slotEntry[hole] = slotEntry[i];
                hole = i;
            }
        }
        slotEntry[hole] = NONE;
    }

    /// Forgets everything about a port.
    void removePort(int p) {
        removeAll(p);
        removeAll(FIXED + p);
    }

    private void removeAll(int list) {
        while (oldest[list] != NONE) {
            remove(slotOf(key[oldest[list]]));
        }
    }

    /// Entries, static ones included.
    int size() {
        return count;
    }

    /// Entries of a port that are not static.
    int learnedOf(int p) {
        return learnedOfPort[p];
    }

    /// Takes an entry of the table.
    interface Visitor {
        /// Takes one.
        ///
        /// @param ageSeconds since it was last seen
        void entry(long k, int p, int ageSeconds, boolean fixed);
    }

    /// Shows every entry that has not aged out, in no order.
    void forEach(int nowSeconds, int ageingSeconds, Visitor visitor) {
        for (int entry : slotEntry) {
            if (entry != NONE && isFresh(entry, nowSeconds, ageingSeconds)) {
                visitor.entry(
                        key[entry],
                        port[entry],
                        nowSeconds - seenSeconds[entry],
                        kind[entry] != LEARNED);
            }
        }
    }
}
