package org.splitring.bridge;

/// What a port takes as it is. The network completes checksums and cuts large segments only for a
/// port that says no here.
///
/// @param mtu most bytes of payload after the Ethernet header and up to two VLAN tags, of frames
///     that are no GSO frames; 68 to 65535
/// @param checksumV4 takes TCP and UDP over IPv4 with a partial checksum
/// @param checksumV6 takes TCP and UDP over IPv6 with a partial checksum
/// @param gsoV4 takes large TCP segments over IPv4; needs `checksumV4`
/// @param gsoV6 takes large TCP segments over IPv6; needs `checksumV6`
/// @param gsoMaxBytes the largest GSO frame it takes, Ethernet header and tags included
public record PortCapabilities(
        int mtu,
        boolean checksumV4,
        boolean checksumV6,
        boolean gsoV4,
        boolean gsoV6,
        int gsoMaxBytes) {
    /// Smallest MTU of IPv4 (RFC 791).
    public static final int MIN_MTU = 68;

    /// Largest MTU: the length field of IPv4, and netif.h's largest packet.
    public static final int MAX_MTU = 65_535;

    public PortCapabilities {
        if (mtu < MIN_MTU || mtu > MAX_MTU) {
            throw new IllegalArgumentException(
                    "MTU " + mtu + " is not between " + MIN_MTU + " and " + MAX_MTU);
        }
        if ((gsoV4 && !checksumV4) || (gsoV6 && !checksumV6)) {
            throw new IllegalArgumentException(
                    "GSO without checksum offload of the same family: a GSO frame's checksum is"
                            + " always partial");
        }
        if (gsoMaxBytes < 0 || gsoMaxBytes > Frame.MAX_BYTES) {
            throw new IllegalArgumentException(
                    "gsoMaxBytes " + gsoMaxBytes + " is not between 0 and " + Frame.MAX_BYTES);
        }
    }

    /// No offload at all: whole frames with complete checksums.
    public static PortCapabilities plain(int mtu) {
        return new PortCapabilities(mtu, false, false, false, false, 0);
    }

    /// Everything: partial checksums and GSO of both families up to the largest frame.
    public static PortCapabilities everything(int mtu) {
        return new PortCapabilities(mtu, true, true, true, true, Frame.MAX_BYTES);
    }
}
