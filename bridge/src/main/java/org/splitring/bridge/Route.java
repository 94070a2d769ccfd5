package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// One entry of a routing table.
final class Route {
    enum Kind {
        /// The router's own address.
        LOCAL,
        /// The broadcast address of a subnet.
        BROADCAST,
        /// The destination is on a link of the interface.
        ON_LINK,
        /// Behind another router.
        VIA
    }

    final Kind kind;
    final RouterSide side;
    /// The other router, with [Kind#VIA].
    final long viaHigh;

    final long viaLow;

    /// The one port where the destination lives; null when any of the interface will do.
    final @Nullable String portName;

    Route(Kind kind, RouterSide side, long viaHigh, long viaLow, @Nullable String portName) {
        this.kind = kind;
        this.side = side;
        this.viaHigh = viaHigh;
        this.viaLow = viaLow;
        this.portName = portName;
    }

    static Route of(Kind kind, RouterSide side) {
        return new Route(kind, side, 0, 0, null);
    }

    /// Whether what this route is for may live at that port.
    boolean allows(RouterPort port) {
        return side == port.side && (portName == null || portName.equals(port.name));
    }
}
