package org.splitring.netfront;

/// What may be sent through a vif now: what its backend offers and its options allow.
///
/// @param queues how many there are, 1 or more
/// @param maxFrameBytes largest frame that may be sent, Ethernet header included: 65535, or one
///     page where the backend takes no more
/// @param checksumV4 TCP and UDP over IPv4 may be sent with [FrameChecksum#PARTIAL]
/// @param checksumV6 the same over IPv6
/// @param gsoV4 [FrameSegmentation#TCPV4] may be sent
/// @param gsoV6 [FrameSegmentation#TCPV6] may be sent
public record VifFeatures(
        int queues,
        int maxFrameBytes,
        boolean checksumV4,
        boolean checksumV6,
        boolean gsoV4,
        boolean gsoV6) {}
