package org.splitring.bridge;

import java.util.Arrays;

/// Which port and MAC address an IP address has: what ARP and neighbour discovery have said.
/// Arrays that are made once; addresses are those of [IpWords].
///
/// **Bounds** (N-41, N-42). So many entries of a port that are known, and so many that are being
/// asked for on its behalf; a port at its bound loses its own oldest known one, and its further
/// questions are not asked. A known entry stays at its port until nothing has been heard for
/// [#LIFE_SECONDS], or until the port goes: another port cannot take it.
///
/// Times are whole seconds of the network's clock. One thread.
final class NeighbourTable {
    static final int NONE = -1;

    /// After so long without a word the entry is asked for again while it is used.
    static final int STALE_SECONDS = 30;

    /// After so long without a word the entry is no more.
    static final int LIFE_SECONDS = 90;

    /// Lists of what is being asked for, by the port that caused it, follow those of known entries.
    private static final int ASKED = VirtualNetwork.MAX_PORTS;

    private final int perPort;
    private final int askedPerPort;
    private final KeyIndex index;
    private final long[] high;
    private final long[] low;
    private final long[] mac;
    private final int[] heardSecond;
    private final int[] askedSecond;
    private final byte[] questions;
    /// The list that the entry is in, [#NONE] when it is free.
    private final int[] list;

    private final int[] older;
    private final int[] newer;
    private final int[] oldest = new int[2 * ASKED];
    private final int[] newest = new int[2 * ASKED];
    private final int[] count = new int[2 * ASKED];
    /// First waiting frame of an entry that is being asked for; the queue's.
    final int[] firstWaiting;

    private int free;

    NeighbourTable(int capacity, int perPort, int askedPerPort) {
        this.perPort = perPort;
        this.askedPerPort = askedPerPort;
        index = new KeyIndex(capacity);
        high = new long[capacity];
        low = new long[capacity];
        mac = new long[capacity];
        heardSecond = new int[capacity];
        askedSecond = new int[capacity];
        questions = new byte[capacity];
        list = new int[capacity];
        older = new int[capacity];
        newer = new int[capacity];
        firstWaiting = new int[capacity];
        Arrays.fill(list, NONE);
        Arrays.fill(firstWaiting, NONE);
        for (int i = 0; i < capacity; i++) {
            newer[i] = i + 1 < capacity ? i + 1 : NONE;
        }
        Arrays.fill(oldest, NONE);
        Arrays.fill(newest, NONE);
    }

    /// The entry of an address, known or being asked for, or [#NONE].
    int find(long h, long l) {
        return index.find(h, l, 0);
    }

    boolean isKnown(int entry) {
        return list[entry] >= 0 && list[entry] < ASKED;
    }

    /// Whether the entry is known and not too old.
    boolean isAlive(int entry, int nowSecond) {
        return isKnown(entry) && nowSecond - heardSecond[entry] < LIFE_SECONDS;
    }

    boolean isStale(int entry, int nowSecond) {
        return nowSecond - heardSecond[entry] >= STALE_SECONDS;
    }

    /// The port of a known entry; of another, the port that caused the question.
    int portOf(int entry) {
        return list[entry] % ASKED;
    }

    long macOf(int entry) {
        return mac[entry];
    }

    long highOf(int entry) {
        return high[entry];
    }

    long lowOf(int entry) {
        return low[entry];
    }

    /// Notes that a known entry was heard of again.
    void heard(int entry, int nowSecond) {
        if (heardSecond[entry] != nowSecond) {
            heardSecond[entry] = nowSecond;
            int at = list[entry];
            unlink(entry);
            link(entry, at);
        }
    }

    /// Notes that an address lives at a port.
    ///
    /// @return the entry; [#NONE] when it is another port's or there is no room
    int learn(long h, long l, int port, long newMac, int nowSecond) {
        int entry = find(h, l);
        if (entry != NONE) {
            if (portOf(entry) != port && isAlive(entry, nowSecond)) {
                return NONE;
            }
            if (list[entry] != port) {
                if (count[port] >= perPort && !evict(port)) {
                    return NONE;
                }
                unlink(entry);
                link(entry, port);
            }
        } else {
            if ((count[port] >= perPort || free == NONE) && !evict(port)) {
                return NONE;
            }
            entry = add(h, l, port);
        }
        mac[entry] = newMac;
        questions[entry] = 0;
        heard(entry, nowSecond);
        heardSecond[entry] = nowSecond;
        return entry;
    }

    /// Begins to ask for an address.
    ///
    /// @param cause the port whose packet needs it
    /// @return the entry; [#NONE] when there is no room
    int ask(long h, long l, int cause) {
        if (count[ASKED + cause] >= askedPerPort) {
            return NONE;
        }
        int entry = find(h, l);
        if (entry != NONE) {
            unlink(entry);
            link(entry, ASKED + cause);
        } else {
            if (free == NONE && !evict(cause)) {
                return NONE;
            }
            entry = add(h, l, ASKED + cause);
        }
        questions[entry] = 0;
        return entry;
    }

    /// Counts a question about an entry.
    ///
    /// @return whether it is the moment for one: not more than one a second
    boolean mayAsk(int entry, int nowSecond) {
        if (questions[entry] > 0 && askedSecond[entry] == nowSecond) {
            return false;
        }
        askedSecond[entry] = nowSecond;
        questions[entry] = (byte) Math.min(questions[entry] + 1, 100);
        return true;
    }

    int questionsOf(int entry) {
        return questions[entry];
    }

    private int add(long h, long l, int to) {
        int entry = free;
        free = newer[entry];
        high[entry] = h;
        low[entry] = l;
        index.put(h, l, 0, entry);
        link(entry, to);
        return entry;
    }

    private boolean evict(int port) {
        if (oldest[port] == NONE) {
            return false;
        }
        remove(oldest[port]);
        return true;
    }

    private void link(int entry, int to) {
        list[entry] = to;
        older[entry] = newest[to];
        newer[entry] = NONE;
        if (newest[to] == NONE) {
            oldest[to] = entry;
        } else {
            newer[newest[to]] = entry;
        }
        newest[to] = entry;
        count[to]++;
    }

    private void unlink(int entry) {
        int from = list[entry];
        if (older[entry] == NONE) {
            oldest[from] = newer[entry];
        } else {
            newer[older[entry]] = newer[entry];
        }
        if (newer[entry] == NONE) {
            newest[from] = older[entry];
        } else {
            older[newer[entry]] = older[entry];
        }
        count[from]--;
    }

    /// Forgets an entry; frames no longer wait for it.
    void remove(int entry) {
        unlink(entry);
        index.remove(high[entry], low[entry], 0);
        list[entry] = NONE;
        newer[entry] = free;
        free = entry;
    }

    /// Entries of a port that are known.
    int knownOf(int port) {
        return count[port];
    }

    /// The oldest entry that is being asked for on behalf of a port, and the ones after it by
    /// [#next].
    int firstAsked(int cause) {
        return oldest[ASKED + cause];
    }

    int firstKnown(int port) {
        return oldest[port];
    }

    int next(int entry) {
        return newer[entry];
    }
}
