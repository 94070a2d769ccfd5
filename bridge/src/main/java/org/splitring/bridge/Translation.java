package org.splitring.bridge;

/// What NAT mode does to IPv4 packets on their way. The network's loop.
interface Translation {
    /// A packet is received: nothing of an earlier one can be undone any more.
    void begin();

    /// Looks at a packet before it is routed, and may change where it goes.
    ///
    /// @return whether it goes on; otherwise it was counted
    boolean inbound(RouterPort from, Frame frame);

    /// Looks at a packet whose route is known, and may change whom it comes from.
    ///
    /// @return whether it goes on; otherwise it was counted
    boolean outbound(RouterPort from, Frame frame, Route route);

    /// Makes the packet that is under way what it was when it came.
    void undo(Frame frame);

    /// Whether that side is the outside.
    boolean isUplink(RouterSide side);

    /// A second has begun.
    void second(int now);

    /// A port is gone.
    void forget(int port);
}
