package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// NAT mode: a router whose guests appear outside under one IPv4 address. TCP, UDP and ICMP echo
/// are translated, with the errors and fragments that belong to them; what cannot be translated is
/// refused with an ICMP error, and nothing is answered in another host's name. There are no
/// helpers for protocols that carry addresses in their payload (N-50).
///
/// IPv6 is not translated: it is routed where interfaces have prefixes of it, and refused
/// otherwise.
///
/// Sources: RFC 3022, RFC 4787, RFC 5382, RFC 5508. State belongs to the network's loop;
/// [VirtualNetwork#tick] drives what needs time. One NAT for one network.
public final class Nat implements Forwarder {
    private final NatTranslation translation;
    private final RouterEngine engine;
    private NatSettings settings;

    /// @param upstream answers what the gateway's own names do not; [DnsUpstream#NONE] when nobody
    ///     does
    public Nat(NatSettings settings, DnsUpstream upstream) {
        this.settings = settings;
        RouterCounters counters = new RouterCounters();
        translation = new NatTranslation(settings, counters);
        engine = new RouterEngine(settings.routing(), upstream, translation, counters);
        translation.engine(engine);
    }

    public Nat(NatSettings settings) {
        this(settings, DnsUpstream.NONE);
    }

    /// Replaces the settings between two packets. Connections go on; those through a port forward
    /// that is gone end, and a new forward takes its port from whichever guest has it. When the
    /// outside address is another, all end.
    ///
    /// @throws IllegalArgumentException when a port that is plugged in has no interface any more,
    ///     or when limits are others; everything is then as before
    public void configure(NatSettings now) {
        if (!now.natLimits().equals(settings.natLimits())) {
            throw new IllegalArgumentException(
                    "the limits of a NAT are fixed: " + settings.natLimits());
        }
        engine.configure(now.routing());
        translation.configure(settings, now);
        settings = now;
    }

    public NatSettings settings() {
        return settings;
    }

    /// Any thread.
    public RouterCounters counters() {
        return engine.counters;
    }

    /// Connections that are remembered now, expired ones among them for a few seconds.
    public int connections() {
        return translation.connections().total();
    }

    /// Connections of one port.
    public int connections(PortLink guest) {
        return translation.connections().countOf(guest.index);
    }

    NatTranslation translation() {
        return translation;
    }

    @Override
    public void forward(PortLink from, Frame frame) {
        engine.forward(from, frame);
    }

    @Override
    public void check(PortSettings wanted, @Nullable PortLink self) {
        engine.check(wanted);
    }

    @Override
    public void configured(PortLink link) {
        engine.configured(link);
    }

    @Override
    public void detached(PortLink link) {
        engine.detached(link);
    }

    @Override
    public void follows(Forwarder before, VirtualNetwork network) {
        engine.announce(network);
    }

    RouterEngine engine() {
        return engine;
    }

    @Override
    public void tick(VirtualNetwork network) {
        engine.tick(network);
    }
}
