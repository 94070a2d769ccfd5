package org.splitring.netfront;

/// Whether a frame is one large TCP segment, to be cut into frames of the size of the MTU by those
/// who need them so small.
public enum FrameSegmentation {
    NONE,
    /// TCP over IPv4; virtio: `GSO_TCPV4`.
    TCPV4,
    /// TCP over IPv6; virtio: `GSO_TCPV6`.
    TCPV6
}
