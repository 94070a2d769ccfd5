package org.splitring.driverdomain.nbd;

import java.util.concurrent.TimeUnit;

/// What clients of one server may use of it.
///
/// @param maxConnections clients at once, those in the handshake included; one more is cut off
/// @param handshakeNanos by when a client must be through with the handshake
/// @param stallNanos how long a client may be silent in the middle of a request
public record NbdLimits(int maxConnections, long handshakeNanos, long stallNanos) {
    /// 16 connections, 10 seconds, 30 seconds.
    public static final NbdLimits DEFAULT =
            new NbdLimits(16, TimeUnit.SECONDS.toNanos(10), TimeUnit.SECONDS.toNanos(30));

    public NbdLimits {
        if (maxConnections < 1 || handshakeNanos < 1 || stallNanos < 1) {
            throw new IllegalArgumentException(
                    "limits must be positive: "
                            + maxConnections
                            + ", "
                            + handshakeNanos
                            + ", "
                            + stallNanos);
        }
    }
}
