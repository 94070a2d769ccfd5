package org.splitring.netback;

import org.splitring.bridge.Frame;
import org.splitring.wire.NetifCtrlLayout;

/// Finds the flow that a frame belongs to, for the choice of a queue: either Toeplitz over the
/// addresses that the frontend has asked for, with its key, or a simple mixing of them. The result
/// is left here until the next frame.
///
/// Toeplitz is the one of Microsoft's receive side scaling: bit by bit, 32 bits of the key at that
/// place are added (xor) where the input has a 1. A table of 256 entries for each byte of the input
/// makes that one look-up a byte.
///
/// Source: Xen `public/io/netif.h`, "Hash types"; Linux `xen-netback/hash.c`.
final class FlowHash {
    /// Bytes of a key that count: as many as input and result have together.
    static final int KEY_BYTES = 40;

    private static final int INPUT_BYTES = 36; // two IPv6 addresses and two ports

    private final int[] table = new int[INPUT_BYTES * 256];

    private int hash;
    private int type; // bit of NetifCtrlLayout.HASH_TYPE_*, 0 when there is none
    private int l3At;
    private int l4At; // -1 when there are no ports
    private boolean v6;
    private boolean tcp;

    /// The 32 bits of the last frame.
    int hash() {
        return hash;
    }

    /// Which hash it is; 0 when the frame had none.
    int type() {
        return type;
    }

    /// Takes a key into use.
    ///
    /// @param key [#KEY_BYTES] bytes
    void key(byte[] key) {
        for (int position = 0; position < INPUT_BYTES; position++) {
            for (int value = 0; value < 256; value++) {
                int sum = 0;
                for (int bit = 0; bit < 8; bit++) {
                    if ((value & (0x80 >>> bit)) != 0) {
                        sum ^= window(key, position * 8 + bit);
                    }
                }
                table[position * 256 + value] = sum;
            }
        }
    }

    /// 32 bits of the key, from a bit on.
    private static int window(byte[] key, int bit) {
        int at = bit >>> 3;
        long five = 0;
        for (int i = 0; i < 5; i++) {
            five = (five << 8) | (at + i < key.length ? key[at + i] & 0xFF : 0);
        }
        return (int) (five >>> (8 - (bit & 7)));
    }

    /// Toeplitz of what the frame is, as far as it was asked for.
    ///
    /// @param types `NetifCtrlLayout.HASH_TYPE_*` bits
    void toeplitz(Frame frame, int types) {
        type = 0;
        hash = 0;
        if (!findHeaders(frame)) {
            return;
        }
        int withPorts =
                v6 ? NetifCtrlLayout.HASH_TYPE_IPV6_TCP : NetifCtrlLayout.HASH_TYPE_IPV4_TCP;
        int addresses = v6 ? NetifCtrlLayout.HASH_TYPE_IPV6 : NetifCtrlLayout.HASH_TYPE_IPV4;
        int at = v6 ? l3At + 8 : l3At + 12;
        int addressBytes = v6 ? 32 : 8;
        if (tcp && (types & withPorts) != 0) {
            type = withPorts;
            hash = sum(frame, l4At, 4, addressBytes);
        } else if ((types & addresses) != 0) {
            type = addresses;
        } else {
            return;
        }
        hash ^= sum(frame, at, addressBytes, 0);
    }

    private int sum(Frame frame, int at, int bytes, int position) {
        int sum = 0;
        for (int i = 0; i < bytes; i++) {
            sum ^= table[(position + i) * 256 + frame.u8(at + i)];
        }
        return sum;
    }

    /// A number that is the same for all frames of a flow, whatever they are.
    int simple(Frame frame) {
        int mixed;
        if (!findHeaders(frame)) {
            mixed = frame.headerBytes() < 12 ? 0 : frame.i32(2) ^ (frame.i32(8) * 31);
        } else {
            int at = v6 ? l3At + 8 : l3At + 12;
            int words = v6 ? 8 : 2;
            mixed = 0;
            for (int i = 0; i < words; i++) {
                mixed = mixed * 31 + frame.i32(at + 4 * i);
            }
            if (l4At >= 0) {
                mixed = mixed * 31 + frame.i32(l4At);
            }
        }
        // MurmurHash3's last step: each bit of the input reaches each bit of the result.
        mixed = (mixed ^ (mixed >>> 16)) * 0x85EBCA6B;
        mixed = (mixed ^ (mixed >>> 13)) * 0xC2B2AE35;
        return mixed ^ (mixed >>> 16);
    }

    /// @return whether it is IP with its addresses in the private header
    private boolean findHeaders(Frame frame) {
        int known = frame.headerBytes();
        l3At = Frame.ETHERNET_BYTES;
        l4At = -1;
        tcp = false;
        if (known < l3At) {
            return false;
        }
        int etherType = frame.u16(12);
        for (int tags = 0; tags < 2 && isTag(etherType) && l3At + 4 <= known; tags++) {
            etherType = frame.u16(l3At + 2);
            l3At += 4;
        }
        int protocol;
        int l4;
        if (etherType == 0x0800 && l3At + 20 <= known) {
            v6 = false;
            boolean fragment = (frame.u16(l3At + 6) & 0x3FFF) != 0;
            protocol = fragment ? -1 : frame.u8(l3At + 9);
            l4 = l3At + (frame.u8(l3At) & 15) * 4;
        } else if (etherType == 0x86DD && l3At + 40 <= known) {
            v6 = true;
            protocol = frame.u8(l3At + 6); // behind extension headers there are no ports for us
            l4 = l3At + 40;
        } else {
            return false;
        }
        if ((protocol == 6 || protocol == 17) && l4 + 4 <= known) {
            l4At = l4;
            tcp = protocol == 6;
        }
        return true;
    }

    private static boolean isTag(int etherType) {
        return etherType == 0x8100 || etherType == 0x88A8;
    }
}
