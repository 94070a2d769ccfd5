package org.splitring.bridge;

import java.util.Arrays;

/// Which packets are under way in fragments, so that later ones get what the first one got (N-45).
/// Every eight bytes of a packet are a bit: what overlaps what came before is refused.
///
/// **Bounds.** So many packets in all and of one port; a port at its bound loses its own oldest.
/// Packets whose fragments do not all come are forgotten after some seconds. One thread.
final class FragmentTable {
    static final int NONE = -1;

    /// Most packets of all ports: half a mebibyte of bits.
    static final int CAPACITY = 512;

    /// Of the largest packet, 65,535 bytes, in words of 64 bits.
    private static final int WORDS = 128;

    private final int perPort;
    private final int lifeSeconds;
    private final KeyIndex index = new KeyIndex(CAPACITY);
    private final long[] addresses = new long[CAPACITY];
    private final int[] rest = new int[CAPACITY];
    private final int[] port = new int[CAPACITY];
    private final int[] beganSecond = new int[CAPACITY];
    private final int[] newSource = new int[CAPACITY];
    private final int[] newDestination = new int[CAPACITY];
    private final long[] seen = new long[CAPACITY * WORDS];
    private final int[] older = new int[CAPACITY];
    private final int[] newer = new int[CAPACITY];
    private final int[] oldest = new int[VirtualNetwork.MAX_PORTS];
    private final int[] newest = new int[VirtualNetwork.MAX_PORTS];
    private final int[] count = new int[VirtualNetwork.MAX_PORTS];
    private int free = NONE;

    // What the last mark has set, for undo.
    private int markedEntry = NONE;
    private int markedFrom;
    private int markedEnd;

    FragmentTable(int perPort, int lifeSeconds) {
        this.perPort = perPort;
        this.lifeSeconds = lifeSeconds;
        Arrays.fill(oldest, NONE);
        Arrays.fill(newest, NONE);
        for (int i = CAPACITY - 1; i >= 0; i--) {
            newer[i] = free;
            free = i;
        }
    }

    private static int rest(int protocol, int id) {
        return protocol << 16 | id;
    }

    /// The packet that a fragment belongs to, or [#NONE].
    ///
    /// @param pair source and destination as they came
    int find(int fromPort, long pair, int protocol, int id, int now) {
        int entry = index.find(pair, rest(protocol, id), fromPort);
        if (entry != NONE && now - beganSecond[entry] >= lifeSeconds) {
            remove(entry);
            return NONE;
        }
        return entry;
    }

    /// Begins a packet with its first fragment.
    ///
    /// @return the entry, or [#NONE] when there is no room
    int begin(int fromPort, long pair, int protocol, int id, int now) {
        int known = find(fromPort, pair, protocol, id, now);
        if (known != NONE) {
            return known;
        }
        if (count[fromPort] >= perPort || free == NONE) {
            if (oldest[fromPort] == NONE) {
                return NONE;
            }
            remove(oldest[fromPort]);
        }
        int entry = free;
        free = newer[entry];
        addresses[entry] = pair;
        rest[entry] = rest(protocol, id);
        port[entry] = fromPort;
        beganSecond[entry] = now;
        Arrays.fill(seen, entry * WORDS, (entry + 1) * WORDS, 0);
        older[entry] = newest[fromPort];
        newer[entry] = NONE;
        if (newest[fromPort] == NONE) {
            oldest[fromPort] = entry;
        } else {
            newer[newest[fromPort]] = entry;
        }
        newest[fromPort] = entry;
        count[fromPort]++;
        index.put(pair, rest[entry], fromPort, entry);
        return entry;
    }

    /// Notes bytes of a packet.
    ///
    /// @param offset of the fragment, a multiple of 8
    /// @param more whether it is not the last: its length is then a multiple of 8
    /// @return `false` when they overlap others, or cannot be
    boolean mark(int entry, int offset, int length, boolean more) {
        markedEntry = NONE;
        if (length <= 0 || offset + length > 65_535 || (more && length % 8 != 0)) {
            return false;
        }
        int from = offset / 8;
        int end = (offset + length + 7) / 8;
        int base = entry * WORDS;
        for (int i = from; i < end; i++) {
            if ((seen[base + (i >>> 6)] & 1L << i) != 0) {
                return false;
            }
        }
        for (int i = from; i < end; i++) {
            seen[base + (i >>> 6)] |= 1L << i;
        }
        markedEntry = entry;
        markedFrom = from;
        markedEnd = end;
        return true;
    }

    /// Forgets what the last [#mark] noted: the fragment will come again.
    void unmark() {
        for (int i = markedFrom; markedEntry != NONE && i < markedEnd; i++) {
            seen[markedEntry * WORDS + (i >>> 6)] &= ~(1L << i);
        }
        markedEntry = NONE;
    }

    /// Nothing is to be unmarked any more.
    void keepMark() {
        markedEntry = NONE;
    }

    /// Says what the addresses of the packet's fragments become.
    void translate(int entry, int source, int destination) {
        newSource[entry] = source;
        newDestination[entry] = destination;
    }

    int sourceOf(int entry) {
        return newSource[entry];
    }

    int destinationOf(int entry) {
        return newDestination[entry];
    }

    void remove(int entry) {
        int of = port[entry];
        if (older[entry] == NONE) {
            oldest[of] = newer[entry];
        } else {
            newer[older[entry]] = newer[entry];
        }
        if (newer[entry] == NONE) {
            newest[of] = older[entry];
        } else {
            older[newer[entry]] = older[entry];
        }
        count[of]--;
        index.remove(addresses[entry], rest[entry], of);
        newer[entry] = free;
        free = entry;
    }

    void forget(int gone) {
        while (oldest[gone] != NONE) {
            remove(oldest[gone]);
        }
    }
}
