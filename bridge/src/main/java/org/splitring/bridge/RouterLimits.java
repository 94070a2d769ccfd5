package org.splitring.bridge;

/// What guests can fill in a router, and how far.
///
/// @param neighbours most addresses that are known by ARP and neighbour discovery, in all
/// @param neighboursPerPort most of them at one port; the port's own oldest goes then
/// @param unresolvedPerPort most addresses that are being asked for on behalf of one port
/// @param waitingFrames most frames that wait for an address, in all
/// @param waitingFramesPerPort most of them that came in at one port
/// @param errorsPerSecond most ICMP errors and resets to one port
public record RouterLimits(
        int neighbours,
        int neighboursPerPort,
        int unresolvedPerPort,
        int waitingFrames,
        int waitingFramesPerPort,
        int errorsPerSecond) {
    public static final RouterLimits DEFAULT = new RouterLimits(4096, 256, 16, 64, 8, 50);

    public RouterLimits {
        check("neighbours", neighbours, 1 << 20);
        check("neighboursPerPort", neighboursPerPort, neighbours);
        check("unresolvedPerPort", unresolvedPerPort, neighboursPerPort);
        check("waitingFrames", waitingFrames, 4096);
        check("waitingFramesPerPort", waitingFramesPerPort, waitingFrames);
        check("errorsPerSecond", errorsPerSecond, 1_000_000);
    }

    private static void check(String name, int value, int most) {
        if (value < 1 || value > most) {
            throw new IllegalArgumentException(
                    name + " " + value + " is not between 1 and " + most);
        }
    }
}
