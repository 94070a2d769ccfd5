package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// Decides where a frame goes: the mode of a network. Everything is called on the network's loop.
public sealed interface Forwarder permits LearningSwitch, RoutedForwarder {
    /// Passes `frame` to the ports that should have it, with [PortLink#send].
    void forward(PortLink from, Frame frame);

    /// Says whether a port can be had with these settings.
    ///
    /// @param self the port, when it is attached already
    /// @throws IllegalArgumentException with the value that does not go
    void check(PortSettings wanted, @Nullable PortLink self);

    /// A port was attached, or its settings changed.
    void configured(PortLink link);

    /// A port is gone: everything learned about it is to be forgotten.
    void detached(PortLink link);

    /// It has taken the place of another, and what hosts know is of that one's time.
    void follows(Forwarder before, VirtualNetwork network);

    /// Another takes its place next: what hosts should know of that is said now.
    default void leaves() {}

    /// Time has passed: see [VirtualNetwork#tick].
    default void tick(VirtualNetwork network) {}
}
