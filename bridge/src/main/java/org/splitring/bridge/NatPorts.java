package org.splitring.bridge;

import java.security.SecureRandom;
import java.util.Arrays;

/// The ports (and echo identifiers) of the outside address: who has which. Each is one guest's at a
/// time, so a guest's address and port always appear as the same port outside (RFC 4787, REQ-1),
/// whomever it talks to. Those that are forwarded stay.
///
///     public port -> mapping            array of 65536 for each protocol
///     guest's address, port -> mapping  [KeyIndex]
///
/// One thread.
final class NatPorts {
    static final int NONE = -1;

    /// Ports that are given to guests: those from [#FIRST] on.
    static final int FIRST = 1024;

    static final int COUNT = 65_536 - FIRST;

    /// Tries before a port is said not to be had: chance finds one unless nearly all are in use.
    private static final int TRIES = 64;

    private static final int PROTOCOLS = 3;

    /// Owner of a mapping that is none now.
    private static final int FREE = -2;

    private final int perOwner;
    private final int[] mappingOf = new int[PROTOCOLS * 65_536];
    private final KeyIndex inside;
    private final int[] guest;
    private final int[] guestPort;
    private final int[] publicPort;
    private final byte[] protocol;
    private final int[] owner;
    private final int[] users;
    private final int[] next;
    private final int[] held = new int[PROTOCOLS * (VirtualNetwork.MAX_PORTS + 1)];
    private int free = NONE;
    private long random = new SecureRandom().nextLong() | 1;

    /// @param capacity most mappings: as many as there can be connections, and forwards
    NatPorts(int capacity, int perOwner) {
        this.perOwner = perOwner;
        Arrays.fill(mappingOf, NONE);
        inside = new KeyIndex(capacity);
        guest = new int[capacity];
        guestPort = new int[capacity];
        publicPort = new int[capacity];
        protocol = new byte[capacity];
        owner = new int[capacity];
        users = new int[capacity];
        next = new int[capacity];
        for (int i = capacity - 1; i >= 0; i--) {
            next[i] = free;
            free = i;
        }
    }

    private static int index(int proto) {
        return switch (proto) {
            case FrameLayers.TCP -> 0;
            case FrameLayers.UDP -> 1;
            default -> 2;
        };
    }

    /// The mapping of a public port, or [#NONE].
    int ofPublic(int proto, int port) {
        return mappingOf[index(proto) << 16 | port];
    }

    /// The mapping of a guest's port, or [#NONE]. Of a guest's port that several public ports are
    /// forwarded to, the first.
    int ofGuest(int proto, int address, int port) {
        return inside.find(address, port, proto);
    }

    int guestOf(int mapping) {
        return guest[mapping];
    }

    int guestPortOf(int mapping) {
        return guestPort[mapping];
    }

    int publicPortOf(int mapping) {
        return publicPort[mapping];
    }

    /// Whether the owner has as many ports as it can have.
    boolean isAtQuota(int proto, int byOwner) {
        return held[index(proto) * (VirtualNetwork.MAX_PORTS + 1) + byOwner] >= perOwner;
    }

    /// Gives a guest's port a public one: the same number when it is free, else any. The caller
    /// has compared with the quota, and takes it with [#use].
    ///
    /// @return the mapping, or [#NONE] when no port was found
    int allocate(int proto, int address, int port, int byOwner) {
        int place = index(proto) << 16;
        int candidate = port;
        for (int i = 0; i < TRIES; i++) {
            if (candidate >= FIRST && mappingOf[place | candidate] == NONE) {
                int mapping = add(proto, address, port, candidate);
                owner[mapping] = byOwner;
                held[index(proto) * (VirtualNetwork.MAX_PORTS + 1) + byOwner]++;
                inside.put(address, port, proto, mapping);
                return mapping;
            }
            candidate = FIRST + (int) ((nextRandom() >>> 33) % COUNT);
        }
        return NONE;
    }

    /// xorshift64*: unpredictable enough together with its secret start.
    private long nextRandom() {
        random ^= random >>> 12;
        random ^= random << 25;
        random ^= random >>> 27;
        return random * 0x2545_F491_4F6C_DD1DL;
    }

    private int add(int proto, int address, int port, int outside) {
        int mapping = free;
        free = next[mapping];
        guest[mapping] = address;
        guestPort[mapping] = port;
        publicPort[mapping] = outside;
        protocol[mapping] = (byte) proto;
        users[mapping] = 0;
        mappingOf[index(proto) << 16 | outside] = mapping;
        return mapping;
    }

    /// Makes a mapping that stays until [#unforward].
    void forward(int proto, int outside, int address, int port) {
        int mapping = add(proto, address, port, outside);
        owner[mapping] = NONE;
        users[mapping] = 1;
        int known = inside.find(address, port, proto);
        if (known == KeyIndex.NONE || !isForward(known)) {
            inside.put(address, port, proto, mapping);
        }
    }

    boolean isForward(int mapping) {
        return owner[mapping] == NONE;
    }

    /// Ends a forward. Its connections were ended before.
    void unforward(int mapping) {
        users[mapping] = 0;
        free(mapping);
        // Another mapping of the same guest's port, hidden until now, is the one to use again.
        int address = guest[mapping];
        int port = guestPort[mapping];
        int proto = protocol[mapping];
        for (int i = 0; i < users.length; i++) {
            if (users[i] > 0
                    && guest[i] == address
                    && guestPort[i] == port
                    && protocol[i] == proto
                    && inside.find(address, port, proto) == KeyIndex.NONE) {
                inside.put(address, port, proto, i);
            }
        }
    }

    /// A connection begins.
    void use(int mapping) {
        users[mapping]++;
    }

    /// A connection has ended; with the last one the port is free again.
    void release(int mapping) {
        users[mapping]--;
        if (users[mapping] == 0) {
            free(mapping);
        }
    }

    private void free(int mapping) {
        int proto = protocol[mapping];
        mappingOf[index(proto) << 16 | publicPort[mapping]] = NONE;
        if (inside.find(guest[mapping], guestPort[mapping], proto) == mapping) {
            inside.remove(guest[mapping], guestPort[mapping], proto);
        }
        if (owner[mapping] >= 0) {
            held[index(proto) * (VirtualNetwork.MAX_PORTS + 1) + owner[mapping]]--;
        }
        owner[mapping] = FREE;
        next[mapping] = free;
        free = mapping;
    }

    /// Ports that an owner has for a protocol.
    int heldBy(int proto, int byOwner) {
        return held[index(proto) * (VirtualNetwork.MAX_PORTS + 1) + byOwner];
    }
}
