package org.splitring.bridge;

/// What a router or a NAT counts. Every packet that it receives and does not send on is counted
/// once under a reason.
public enum RouterCounter {
    /// Sent on towards its destination.
    FORWARDED,
    /// Answered or taken by the router itself: ping, ARP, neighbour discovery, DHCP, DNS.
    ANSWERED,
    /// Fragments that were made of packets larger than the next MTU.
    FRAGMENTED,
    /// ICMP errors and TCP resets that were sent.
    ERRORS_SENT,
    /// ICMP errors and resets that were not sent, for the limit.
    ERRORS_LIMITED,
    /// Neither to the router's MAC address nor to all, or with a group as its source.
    DROPPED_OTHER_MAC,
    /// Neither IPv4, IPv6 nor ARP, or with a VLAN tag.
    DROPPED_PROTOCOL,
    /// Headers that do not hold together, or a wrong header checksum.
    DROPPED_MALFORMED,
    /// IPv4 source routes and IPv6 routing headers.
    DROPPED_SOURCE_ROUTE,
    /// A source or destination that no packet here may have: loopback, link-local, reserved.
    DROPPED_MARTIAN,
    /// A source address that does not live at the port it came from.
    DROPPED_SPOOFED,
    /// To a group or a broadcast address: not routed.
    DROPPED_GROUP,
    /// TTL or hop limit used up.
    DROPPED_EXPIRED,
    /// No route to the destination.
    DROPPED_NO_ROUTE,
    /// Larger than the next MTU, and not to be fragmented.
    DROPPED_TOO_BIG,
    /// The next hop does not answer ARP or neighbour solicitation.
    DROPPED_UNREACHABLE,
    /// No room to wait for the next hop's address.
    DROPPED_WAITING_FULL,
    /// ARP or neighbour discovery that claims an address of another port, or more than fit.
    DROPPED_NEIGHBOUR,
    /// To the router itself, which does not want it.
    DROPPED_LOCAL,
    /// The port that should have had it had no room, or its rules refused it.
    DROPPED_AT_PORT,
    /// From outside, and part of nothing that a guest began and of no port forward.
    DROPPED_UNSOLICITED,
    /// A protocol that is not translated.
    DROPPED_UNTRANSLATABLE,
    /// New connections beyond the guest's quota, or when the table is full.
    DROPPED_NO_ENTRY,
    /// New connections when the guest's quota of ports, or all ports, were in use.
    DROPPED_NO_PORT,
    /// Fragments that overlap, are too small, are larger than a packet, or come before the first.
    DROPPED_FRAGMENT,
    /// ICMP errors about packets that nobody sent.
    DROPPED_FORGED_ERROR,
    /// Connections of a guest that were forgotten early, to make room for its new ones.
    EVICTED,
    /// DHCP: requests without an address to give.
    DHCP_EXHAUSTED,
    /// DNS: questions beyond the port's quota, malformed ones, and answers that nobody waits for.
    DNS_REFUSED,
}
