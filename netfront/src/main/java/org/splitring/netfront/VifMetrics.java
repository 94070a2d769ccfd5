package org.splitring.netfront;

/// What a vif has done since it was made.
///
/// @param txPackets frames put on the tx ring
/// @param txBytes of them
/// @param txErrors slots that the backend answered with an error
/// @param txLost pages with data that no backend had answered when the connection ended
/// @param rxPackets frames passed on
/// @param rxBytes of them
/// @param rxErrors frames dropped because the backend wrote an error or nonsense
/// @param rxGsoChecksumFixup large segments whose checksum was not said to be partial, and is
public record VifMetrics(
        long txPackets,
        long txBytes,
        long txErrors,
        long txLost,
        long rxPackets,
        long rxBytes,
        long rxErrors,
        long rxGsoChecksumFixup) {}
