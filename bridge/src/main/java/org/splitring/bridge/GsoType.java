package org.splitring.bridge;

/// Whether a frame is one large segment that may be cut into frames of the size of the MTU.
public enum GsoType {
    NONE,
    /// TCP over IPv4, netif.h `XEN_NETIF_GSO_TYPE_TCPV4`.
    TCPV4,
    /// TCP over IPv6, netif.h `XEN_NETIF_GSO_TYPE_TCPV6`.
    TCPV6
}
