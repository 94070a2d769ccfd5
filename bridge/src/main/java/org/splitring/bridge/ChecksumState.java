package org.splitring.bridge;

/// What is known of a frame's transport checksum. The three values travel with the frame from end
/// to end: a Windows guest that is told "unknown" where "verified" was true falls to 0.05 MB/s
/// (mirage/mirage-net-xen#122), and one that is told "verified" where nothing was true believes a
/// broken packet.
public enum ChecksumState {
    /// Not computed: the field holds the folded sum of the pseudo header, and whoever puts the
    /// frame on a wire computes the rest. netif.h: `csum_blank` with `data_validated`; virtio:
    /// `NEEDS_CSUM`; Linux: `CHECKSUM_PARTIAL`.
    PARTIAL,

    /// In the frame, and right as far as the sender's word goes. netif.h: `data_validated` alone;
    /// Linux: `CHECKSUM_UNNECESSARY`.
    COMPLETE_VERIFIED,

    /// In the frame or not there at all; nobody has looked. netif.h: neither flag; Linux:
    /// `CHECKSUM_NONE`.
    COMPLETE_UNKNOWN
}
