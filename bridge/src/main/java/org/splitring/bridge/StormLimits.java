package org.splitring.bridge;

/// How many frames that go to more than one port may come in at a port, each second. One second's
/// worth may come at once.
///
/// @param broadcast frames to all, 0 for no limit
/// @param multicast frames to other groups, 0 for no limit
/// @param unknownUnicast frames to addresses that have not been seen, 0 for no limit
public record StormLimits(int broadcast, int multicast, int unknownUnicast) {
    /// No limits.
    public static final StormLimits NONE = new StormLimits(0, 0, 0);

    public StormLimits {
        if (broadcast < 0 || multicast < 0 || unknownUnicast < 0) {
            throw new IllegalArgumentException(
                    "storm limits below 0: " + broadcast + " " + multicast + " " + unknownUnicast);
        }
    }
}
