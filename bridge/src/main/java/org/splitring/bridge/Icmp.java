package org.splitring.bridge;

/// Numbers of ICMP (RFC 792, RFC 1812), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861).
final class Icmp {
    static final int ECHO_REPLY = 0;
    static final int UNREACHABLE = 3;
    static final int SOURCE_QUENCH = 4;
    static final int REDIRECT = 5;
    static final int ECHO = 8;
    static final int TIME_EXCEEDED = 11;
    static final int PARAMETER_PROBLEM = 12;

    static final int NET_UNREACHABLE = 0;
    static final int HOST_UNREACHABLE = 1;
    static final int PROTOCOL_UNREACHABLE = 2;
    static final int PORT_UNREACHABLE = 3;
    static final int FRAGMENTATION_NEEDED = 4;
    static final int ADMIN_PROHIBITED = 13;

    static final int V6_UNREACHABLE = 1;
    static final int V6_TOO_BIG = 2;
    static final int V6_TIME_EXCEEDED = 3;
    static final int V6_PARAMETER_PROBLEM = 4;
    static final int V6_ECHO = 128;
    static final int V6_ECHO_REPLY = 129;
    static final int ROUTER_SOLICITATION = 133;
    static final int ROUTER_ADVERTISEMENT = 134;
    static final int SOLICITATION = 135;
    static final int ADVERTISEMENT = 136;
    static final int V6_REDIRECT = 137;

    static final int V6_NO_ROUTE = 0;
    static final int V6_ADMIN_PROHIBITED = 1;
    static final int V6_ADDRESS_UNREACHABLE = 3;
    static final int V6_PORT_UNREACHABLE = 4;
    static final int V6_UNKNOWN_NEXT_HEADER = 1;

    /// The high word of fe80::/64.
    static final long LINK_LOCAL = 0xFE80_0000_0000_0000L;

    private Icmp() {}

    /// Whether an ICMP message of IPv4 is an error, or acts as one: nothing answers it with one.
    static boolean isError(int type) {
        return type == UNREACHABLE
                || type == SOURCE_QUENCH
                || type == REDIRECT
                || type == TIME_EXCEEDED
                || type == PARAMETER_PROBLEM;
    }
}
