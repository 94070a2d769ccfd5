package org.splitring.netback;

/// What a vif has done since it was made, under the names of the field; tx is from the guest, rx to
/// it.
///
/// @param txPackets frames taken from the guest and passed to the network
/// @param txBytes of them
/// @param txErrors frames answered with `XEN_NETIF_RSP_ERROR`, for whatever reason
/// @param txGrantErrors of these, those with a page that could not be reached
/// @param txChecksumErrors of these, those with a blank checksum that is nowhere
/// @param txGsoChecksumFixup large segments whose checksum was not said to be blank, and is
///     (Linux's `rx_gso_checksum_fixup`)
/// @param txRateLimited how often the guest had to wait for its rate limit
/// @param rxPackets frames put on the guest's rx ring
/// @param rxBytes of them
/// @param rxErrors frames with a page that could not be reached
/// @param rxDropped frames dropped because the queue to the guest was full
/// @param rxExpired frames that waited too long for slots, and what was queued at a stall
/// @param rxNotConnected frames for a guest without a connection, or with the carrier off
/// @param rxMulticastFiltered frames to groups that the guest has not asked for
/// @param rxQueuedPackets frames that wait for slots now
/// @param rxQueuedBytes of them
/// @param stalls how often the carrier was taken off because the guest left frames waiting
public record VifMetrics(
        long txPackets,
        long txBytes,
        long txErrors,
        long txGrantErrors,
        long txChecksumErrors,
        long txGsoChecksumFixup,
        long txRateLimited,
        long rxPackets,
        long rxBytes,
        long rxErrors,
        long rxDropped,
        long rxExpired,
        long rxNotConnected,
        long rxMulticastFiltered,
        int rxQueuedPackets,
        int rxQueuedBytes,
        long stalls) {}
