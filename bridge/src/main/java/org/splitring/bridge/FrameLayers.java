package org.splitring.bridge;

/// Where the headers of a frame are: found once, on its private header.
///
/// Whatever a peer wrote, parsing ends: at most two tags and [#MAX_EXTENSIONS] extension headers,
/// and nothing outside the private header is read. What does not hold together is not an IP packet
/// here (`ipVersion` 0): a switch passes it on as any other frame, a router drops it.
final class FrameLayers {
    static final int IPV4 = 0x0800;
    static final int ARP = 0x0806;
    static final int IPV6 = 0x86DD;
    static final int VLAN = 0x8100;
    static final int SERVICE_VLAN = 0x88A8;

    static final int ICMP = 1;
    static final int IGMP = 2;
    static final int TCP = 6;
    static final int UDP = 17;
    static final int ICMPV6 = 58;

    static final int HOP_BY_HOP = 0;
    static final int ROUTING = 43;
    static final int FRAGMENT = 44;
    static final int AUTHENTICATION = 51;
    static final int DESTINATION = 60;

    /// Most tags that are looked behind.
    static final int MAX_TAGS = 2;

    /// Most extension headers of IPv6 that are looked behind.
    static final int MAX_EXTENSIONS = 8;

    /// Tags in front of the type, 0 to [#MAX_TAGS]; a frame with more has type 0x8100 or 0x88A8
    /// still.
    int tags;

    /// The first type that is no tag, or a length as IEEE 802.3 has it (below 0x600).
    int etherType;

    /// First byte after the type.
    int l3At;

    /// 4, 6, or 0 when the frame holds no IP packet whose headers make sense.
    int ipVersion;

    /// Upper layer protocol; only with IP.
    int ipProtocol;

    /// First byte of the upper layer; only with IP.
    int l4At;

    /// End of the packet by its length field; padding may follow. Only with IP.
    int ipEnd;

    /// Whether the packet is one of several fragments.
    boolean fragment;

    /// In bytes; not 0 for all fragments but the first.
    int fragmentOffset;

    /// Whether an IPv6 routing header names more stops: the destination is then not the last one.
    boolean moreStops;

    void parse(Frame frame) {
        tags = 0;
        ipVersion = 0;
        ipProtocol = -1;
        fragment = false;
        fragmentOffset = 0;
        moreStops = false;
        etherType = 0;
        l3At = Frame.ETHERNET_BYTES;
        if (frame.headerBytes() < Frame.ETHERNET_BYTES) {
            return;
        }
        int type = frame.u16(12);
        while (isTag(type) && tags < MAX_TAGS && l3At + Frame.TAG_BYTES <= frame.headerBytes()) {
            type = frame.u16(l3At + 2);
            l3At += Frame.TAG_BYTES;
            tags++;
        }
        etherType = type;
        if (type == IPV4) {
            parseIpv4(frame);
        } else if (type == IPV6) {
            parseIpv6(frame);
        }
    }

    static boolean isTag(int type) {
        return type == VLAN || type == SERVICE_VLAN;
    }

    private void parseIpv4(Frame frame) {
        int known = frame.headerBytes();
        if (l3At + 20 > known) {
            return;
        }
        int first = frame.u8(l3At);
        int headerBytes = (first & 15) * 4;
        int totalBytes = frame.u16(l3At + 2);
        if (first >>> 4 != 4
                || headerBytes < 20
                || l3At + headerBytes > known
                || totalBytes < headerBytes
                || l3At + totalBytes > frame.sizeBytes()) {
            return;
        }
        int fragmentWord = frame.u16(l3At + 6);
        fragmentOffset = (fragmentWord & 0x1FFF) * 8;
        fragment = (fragmentWord & 0x3FFF) != 0;
        ipProtocol = frame.u8(l3At + 9);
        l4At = l3At + headerBytes;
        ipEnd = l3At + totalBytes;
        ipVersion = 4;
    }

    private void parseIpv6(Frame frame) {
        int known = frame.headerBytes();
        if (l3At + 40 > known || frame.u8(l3At) >>> 4 != 6) {
            return;
        }
        int end = l3At + 40 + frame.u16(l3At + 4);
        if (end > frame.sizeBytes()) {
            return;
        }
        int next = frame.u8(l3At + 6);
        int at = l3At + 40;
        for (int i = 0; isExtension(next); i++) {
            if (i == MAX_EXTENSIONS || at + 8 > known || at + 8 > end) {
                return;
            }
            int headerBytes =
                    switch (next) {
                        case FRAGMENT -> 8;
                        case AUTHENTICATION -> (frame.u8(at + 1) + 2) * 4;
                        default -> (frame.u8(at + 1) + 1) * 8;
                    };
            if (next == FRAGMENT) {
                int word = frame.u16(at + 2);
                fragmentOffset = word & 0xFFF8;
                fragment = (word & 0xFFF9) != 0;
            } else if (next == ROUTING) {
                moreStops = frame.u8(at + 3) != 0;
            }
            next = frame.u8(at);
            at += headerBytes;
            if (at > known || at > end) {
                return;
            }
            if (fragmentOffset != 0) {
                break; // what follows is data
            }
        }
        ipProtocol = next;
        l4At = at;
        ipEnd = end;
        ipVersion = 6;
    }

    private static boolean isExtension(int protocol) {
        return protocol == HOP_BY_HOP
                || protocol == ROUTING
                || protocol == FRAGMENT
                || protocol == AUTHENTICATION
                || protocol == DESTINATION;
    }

    /// Whether `bytes` of the upper layer's header are there: inside the packet and in the private
    /// header. Never for a fragment that is not the first.
    boolean hasL4(Frame frame, int bytes) {
        return ipVersion != 0
                && fragmentOffset == 0
                && l4At + bytes <= ipEnd
                && l4At + bytes <= frame.headerBytes();
    }

    /// Whether there are ports at the start of the upper layer: TCP or UDP, and not cut off.
    boolean hasPorts(Frame frame) {
        return (ipProtocol == TCP || ipProtocol == UDP) && hasL4(frame, 4);
    }

    /// Whether this is a whole TCP or UDP packet with its checksum field in the private header.
    boolean checksumCanBePartial(Frame frame) {
        return !fragment
                && !moreStops
                && ((ipProtocol == TCP && hasL4(frame, 20))
                        || (ipProtocol == UDP && hasL4(frame, 8)));
    }

    /// Where TCP and UDP have their checksum, from the start of their header.
    int checksumOffset() {
        return ipProtocol == TCP ? 16 : 6;
    }

    /// Whether a checksum over `start` and what follows may be written `offset` bytes further on.
    boolean isChecksumPlace(Frame frame, int start, int offset) {
        // All three are compared alone first, so that their sum cannot wrap.
        int known = frame.headerBytes();
        if (start < 0 || offset < 0 || start > known || offset > known) {
            return false;
        }
        if (start + offset + 2 > known || !checksumCanBePartial(frame)) {
            return false;
        }
        boolean inner = ipProtocol == UDP && start >= l4At + 8 && start + offset + 2 <= ipEnd;
        return inner || (start == l4At && offset == checksumOffset());
    }
}
