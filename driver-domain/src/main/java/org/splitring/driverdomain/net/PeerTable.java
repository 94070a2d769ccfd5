package org.splitring.driverdomain.net;

import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;

/// Behind which peer a MAC address was seen last. A fixed table in which an address has one place,
/// found by a hash with a secret: whoever sends many addresses makes others forgotten, and frames
/// for those go to all peers again.
final class PeerTable {
    /// What [#find] says of an address that is not there.
    static final int UNKNOWN = -1;

    private static final int PLACES = 4096;

    private final long secret = ThreadLocalRandom.current().nextLong() | 1;
    private final long[] addresses = new long[PLACES];
    private final int[] peers = new int[PLACES];

    PeerTable() {
        Arrays.fill(addresses, -1);
    }

    private int place(long address) {
        long mixed = (address + 0x9E37_79B9_7F4A_7C15L) * secret;
        return (int) (((mixed ^ (mixed >>> 29)) * secret) >>> 52);
    }

    /// @param address in the low 48 bits
    void learn(long address, int peer) {
        int place = place(address);
        addresses[place] = address;
        peers[place] = peer;
    }

    int find(long address) {
        int place = place(address);
        return addresses[place] == address ? peers[place] : UNKNOWN;
    }
}
