package org.splitring.netfront;

/// What is known of the transport checksum of a frame.
public enum FrameChecksum {
    /// Not computed: the field holds the folded sum of the pseudo header, and whoever puts the
    /// frame on a wire computes the rest. virtio: `NEEDS_CSUM`; Linux: `CHECKSUM_PARTIAL`.
    PARTIAL,

    /// In the frame, and right as far as the sender's word goes. virtio: `DATA_VALID`; Linux:
    /// `CHECKSUM_UNNECESSARY`.
    COMPLETE,

    /// In the frame or not there at all; nobody has looked. Linux: `CHECKSUM_NONE`.
    UNKNOWN
}
