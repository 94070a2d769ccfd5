package org.splitring.bridge;

import java.net.InetAddress;

/// Passes what comes to a port of the NAT's outside address on to a guest.
///
/// @param protocol TCP or UDP
/// @param publicPort 1 to 65535
/// @param guest an IPv4 address of a guest
/// @param guestPort 1 to 65535
public record PortForward(Protocol protocol, int publicPort, InetAddress guest, int guestPort) {
    /// What is forwarded.
    public enum Protocol {
        TCP(FrameLayers.TCP),
        UDP(FrameLayers.UDP);

        final int number;

        Protocol(int number) {
            this.number = number;
        }
    }

    public PortForward {
        if (publicPort < 1 || publicPort > 65_535 || guestPort < 1 || guestPort > 65_535) {
            throw new IllegalArgumentException(
                    "port forward "
                            + protocol
                            + " "
                            + publicPort
                            + " to "
                            + guestPort
                            + ": ports are 1 to 65535");
        }
        if (!IpWords.isV4(guest)) {
            throw new IllegalArgumentException(
                    "port forward to " + guest.getHostAddress() + ": not IPv4");
        }
    }

    /// Reads the guest's address from its literal.
    public static PortForward tcp(int publicPort, String guest, int guestPort) {
        return new PortForward(Protocol.TCP, publicPort, InetAddress.ofLiteral(guest), guestPort);
    }

    /// Reads the guest's address from its literal.
    public static PortForward udp(int publicPort, String guest, int guestPort) {
        return new PortForward(Protocol.UDP, publicPort, InetAddress.ofLiteral(guest), guestPort);
    }

    @Override
    public String toString() {
        return protocol + " " + publicPort + " to " + guest.getHostAddress() + ":" + guestPort;
    }
}
