package org.splitring.bridge;

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
public final class Nat extends RoutedForwarder {
    private final NatTranslation translation;
    private NatSettings settings;

    /// @param upstream answers what the gateway's own names do not; [DnsUpstream#NONE] when nobody
    ///     does
    public Nat(NatSettings settings, DnsUpstream upstream) {
        RouterCounters counters = new RouterCounters();
        NatTranslation made = new NatTranslation(settings, counters);
        super(new RouterEngine(settings.routing(), upstream, made, counters));
        this.settings = settings;
        translation = made;
        made.engine(engine);
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
}
