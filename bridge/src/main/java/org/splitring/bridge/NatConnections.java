package org.splitring.bridge;

import java.util.Arrays;

/// The connections that go through a NAT: found from inside by the guest's address and port, from
/// outside by the public port, and both times by the other end. A slab of arrays that are made
/// once.
///
///     inside   guest, remote | protocol, guest's port, remote port
///     outside  remote        | protocol, public port,  remote port
///
/// **Bounds** (N-46). So many in all, and so many of one owner, a guest's port of the network. An
/// owner at its bound loses its own oldest half-open connection, and gets no new one when it has
/// none; nobody loses one to another. What only one side has spoken on expires soon.
///
/// Times are whole seconds of the network's clock. One thread.
final class NatConnections {
    static final int NONE = -1;

    // What has been seen of a connection.
    private static final int FROM_GUEST = 1;
    private static final int FROM_REMOTE = 2;
    private static final int FIN_GUEST = 4;
    private static final int FIN_REMOTE = 8;
    private static final int RESET = 16;

    private static final int BOTH = FROM_GUEST | FROM_REMOTE;
    private static final int BOTH_FIN = FIN_GUEST | FIN_REMOTE;

    /// How many entries are looked at for each new connection.
    private static final int SWEEP_NEW = 8;

    private final NatLimits limits;
    private final NatPorts ports;
    private final RouterCounters counters;
    private final KeyIndex inside;
    private final KeyIndex outside;

    private final int[] mapping;
    private final int[] remote;
    private final int[] remotePort;
    private final byte[] protocol;
    private final byte[] state;
    private final int[] usedSecond;
    /// [#NONE] when the entry is free.
    private final int[] owner;

    // Half-open connections of each owner, oldest first.
    private final int[] older;
    private final int[] newer;
    private final int[] oldest = new int[VirtualNetwork.MAX_PORTS + 1];
    private final int[] newest = new int[VirtualNetwork.MAX_PORTS + 1];
    private final int[] count = new int[VirtualNetwork.MAX_PORTS + 1];
    private int free = NONE;
    private int total;
    private int sweepAt;

    NatConnections(NatLimits limits, NatPorts ports, RouterCounters counters) {
        this.limits = limits;
        this.ports = ports;
        this.counters = counters;
        int capacity = limits.connections();
        inside = new KeyIndex(capacity);
        outside = new KeyIndex(capacity);
        mapping = new int[capacity];
        remote = new int[capacity];
        remotePort = new int[capacity];
        protocol = new byte[capacity];
        state = new byte[capacity];
        usedSecond = new int[capacity];
        owner = new int[capacity];
        older = new int[capacity];
        newer = new int[capacity];
        Arrays.fill(owner, NONE);
        Arrays.fill(oldest, NONE);
        Arrays.fill(newest, NONE);
        for (int i = capacity - 1; i >= 0; i--) {
            newer[i] = free;
            free = i;
        }
    }

    private static long insideAddresses(int guest, int remote) {
        return (long) guest << 32 | (remote & 0xFFFF_FFFFL);
    }

    private static long portsKey(int proto, int near, int far) {
        return (long) proto << 32 | (long) near << 16 | far;
    }

    /// The connection of a packet from inside, if it has not expired, or [#NONE].
    int fromInside(int proto, int guest, int guestPort, int far, int farPort, int now) {
        return alive(
                inside.find(insideAddresses(guest, far), portsKey(proto, guestPort, farPort), 0),
                now);
    }

    /// The connection of a packet from outside, if it has not expired, or [#NONE].
    int fromOutside(int proto, int publicPort, int far, int farPort, int now) {
        return alive(outside.find(far, portsKey(proto, publicPort, farPort), 0), now);
    }

    private int alive(int entry, int now) {
        if (entry != NONE && isExpired(entry, now)) {
            remove(entry);
            return NONE;
        }
        return entry;
    }

    private boolean isExpired(int entry, int now) {
        return now - usedSecond[entry] >= lifeSeconds(entry);
    }

    private int lifeSeconds(int entry) {
        int s = state[entry];
        if (protocol[entry] == FrameLayers.TCP
                && ((s & RESET) != 0 || (s & BOTH_FIN) == BOTH_FIN)) {
            return limits.closingSeconds();
        }
        if ((s & BOTH) != BOTH) {
            return limits.halfOpenSeconds();
        }
        return switch (protocol[entry]) {
            case FrameLayers.TCP -> limits.tcpSeconds();
            case FrameLayers.UDP -> limits.udpSeconds();
            default -> limits.icmpSeconds();
        };
    }

    /// Makes room for a connection of an owner.
    ///
    /// @return whether there is room now
    boolean makeRoom(int byOwner, int now) {
        sweep(SWEEP_NEW, now);
        if (count[byOwner] < limits.connectionsPerGuest() && free != NONE) {
            return true;
        }
        if (oldest[byOwner] == NONE) {
            return false;
        }
        remove(oldest[byOwner]);
        counters.add(RouterCounter.EVICTED);
        return true;
    }

    /// Adds a connection; there is room, and it is not there yet.
    ///
    /// @return the entry; [#NONE] when the same ends are connected through another public port
    int add(int proto, int through, int far, int farPort, int byOwner, int now) {
        int guest = ports.guestOf(through);
        long near = portsKey(proto, ports.guestPortOf(through), farPort);
        if (alive(inside.find(insideAddresses(guest, far), near, 0), now) != NONE) {
            return NONE;
        }
        int entry = free;
        free = newer[entry];
        mapping[entry] = through;
        remote[entry] = far;
        remotePort[entry] = farPort;
        protocol[entry] = (byte) proto;
        state[entry] = 0;
        usedSecond[entry] = now;
        owner[entry] = byOwner;
        older[entry] = newest[byOwner];
        newer[entry] = NONE;
        if (newest[byOwner] == NONE) {
            oldest[byOwner] = entry;
        } else {
            newer[newest[byOwner]] = entry;
        }
        newest[byOwner] = entry;
        count[byOwner]++;
        total++;
        inside.put(insideAddresses(guest, far), near, 0, entry);
        outside.put(far, portsKey(proto, ports.publicPortOf(through), farPort), 0, entry);
        ports.use(through);
        return entry;
    }

    /// Notes a packet of a connection.
    ///
    /// @param flags of TCP; 0 for others
    void used(int entry, boolean fromGuest, int flags, int now) {
        int before = state[entry];
        int after = before | (fromGuest ? FROM_GUEST : FROM_REMOTE);
        if ((flags & 0x04) != 0) {
            after |= RESET;
        } else if ((flags & 0x02) != 0) {
            after &= ~(BOTH_FIN | RESET); // the ports are used again
        } else if ((flags & 0x01) != 0) {
            after |= fromGuest ? FIN_GUEST : FIN_REMOTE;
        } else if ((before & RESET) != 0 && (before & BOTH_FIN) == 0) {
            // Whoever goes on does not believe the reset, which may have been forged.
            after &= ~RESET;
        }
        if ((before & BOTH) != BOTH && (after & BOTH) == BOTH) {
            unlinkHalfOpen(entry);
        }
        state[entry] = (byte) after;
        usedSecond[entry] = now;
    }

    private boolean isHalfOpen(int entry) {
        return (state[entry] & BOTH) != BOTH;
    }

    private void unlinkHalfOpen(int entry) {
        int of = owner[entry];
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
    }

    int mappingOf(int entry) {
        return mapping[entry];
    }

    void remove(int entry) {
        int through = mapping[entry];
        if (isHalfOpen(entry)) {
            unlinkHalfOpen(entry);
        }
        int proto = protocol[entry];
        inside.remove(
                insideAddresses(ports.guestOf(through), remote[entry]),
                portsKey(proto, ports.guestPortOf(through), remotePort[entry]),
                0);
        outside.remove(
                remote[entry], portsKey(proto, ports.publicPortOf(through), remotePort[entry]), 0);
        count[owner[entry]]--;
        total--;
        owner[entry] = NONE;
        newer[entry] = free;
        free = entry;
        ports.release(through);
    }

    /// Looks at some entries, and forgets those that have expired.
    void sweep(int entries, int now) {
        for (int i = 0; i < entries; i++) {
            sweepAt = sweepAt + 1 < owner.length ? sweepAt + 1 : 0;
            if (owner[sweepAt] != NONE && isExpired(sweepAt, now)) {
                remove(sweepAt);
            }
        }
    }

    /// Forgets all connections of an owner.
    void forgetOwner(int gone) {
        for (int i = 0; i < owner.length; i++) {
            if (owner[i] == gone) {
                remove(i);
            }
        }
    }

    /// Forgets all connections through a mapping.
    void forgetMapping(int through) {
        for (int i = 0; i < owner.length; i++) {
            if (owner[i] != NONE && mapping[i] == through) {
                remove(i);
            }
        }
    }

    /// Connections of an owner.
    int countOf(int byOwner) {
        return count[byOwner];
    }

    int total() {
        return total;
    }
}
