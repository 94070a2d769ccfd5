package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// What route mode and NAT mode are to their network: both have a [RouterEngine] do the work.
public abstract sealed class RoutedForwarder implements Forwarder permits Router, Nat {
    final RouterEngine engine;

    RoutedForwarder(RouterEngine engine) {
        this.engine = engine;
    }

    /// Any thread.
    public final RouterCounters counters() {
        return engine.counters;
    }

    @Override
    public final void forward(PortLink from, Frame frame) {
        engine.forward(from, frame);
    }

    @Override
    public final void check(PortSettings wanted, @Nullable PortLink self) {
        engine.check(wanted);
    }

    @Override
    public final void configured(PortLink link) {
        engine.configured(link);
    }

    @Override
    public final void detached(PortLink link) {
        engine.detached(link);
    }

    @Override
    public final void follows(Forwarder before, VirtualNetwork network) {
        engine.announce(network);
    }

    @Override
    public final void leaves() {
        engine.leave();
    }

    @Override
    public final void tick(VirtualNetwork network) {
        engine.tick(network);
    }
}
