package org.splitring.bridge;

/// What guests can fill in a NAT, and how long it remembers (N-45, N-46). A guest is a port.
///
/// @param connections most connections, in all
/// @param connectionsPerGuest most connections of one guest; its own oldest half-open one goes then
/// @param portsPerGuest most ports of the outside address that one guest has, for each protocol
/// @param fragmentsPerGuest most packets of one guest whose fragments are under way
/// @param halfOpenSeconds how long a connection is remembered that only one side has spoken on
/// @param tcpSeconds how long a TCP connection is remembered that both have, RFC 5382: 2 h 4 min
/// @param udpSeconds the same for UDP, RFC 4787: 5 min
/// @param icmpSeconds the same for ICMP echo, RFC 5508: 60 s
/// @param closingSeconds how long a TCP connection is remembered after its end
/// @param fragmentSeconds how long later fragments are waited for
public record NatLimits(
        int connections,
        int connectionsPerGuest,
        int portsPerGuest,
        int fragmentsPerGuest,
        int halfOpenSeconds,
        int tcpSeconds,
        int udpSeconds,
        int icmpSeconds,
        int closingSeconds,
        int fragmentSeconds) {
    public static final NatLimits DEFAULT =
            new NatLimits(65_536, 4096, 4096, 16, 30, 7440, 300, 60, 30, 30);

    public NatLimits {
        check("connections", connections, 1 << 20);
        check("connectionsPerGuest", connectionsPerGuest, connections);
        check("portsPerGuest", portsPerGuest, NatPorts.COUNT);
        check("fragmentsPerGuest", fragmentsPerGuest, 1024);
        check("halfOpenSeconds", halfOpenSeconds, 86_400);
        check("tcpSeconds", tcpSeconds, 864_000);
        check("udpSeconds", udpSeconds, 86_400);
        check("icmpSeconds", icmpSeconds, 86_400);
        check("closingSeconds", closingSeconds, 86_400);
        check("fragmentSeconds", fragmentSeconds, 300);
    }

    private static void check(String name, int value, int most) {
        if (value < 1 || value > most) {
            throw new IllegalArgumentException(
                    name + " " + value + " is not between 1 and " + most);
        }
    }
}
