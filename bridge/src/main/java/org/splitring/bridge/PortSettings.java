package org.splitring.bridge;

import java.util.List;
import java.util.Optional;

/// What is configured for one port. Immutable; [PortLink#configure] replaces it while traffic
/// flows.
///
/// @param name for people and for rules that redirect: unique in its network, for example
///     `vif3.0`
/// @param vlans which VLANs it is in; a switch's only
/// @param isolated whether it exchanges no frames with other isolated ports; a switch's only
/// @param pins which source addresses it may use
/// @param rules its firewall, first match decides
/// @param storm limits for frames to more than one port; a switch's only
/// @param loopGuard whether the port is shut for ten seconds when addresses keep moving to it
/// @param sticky whether addresses stay at this port once they were learned here; a switch's only
/// @param addresses static entries of the switch's table, in the PVID
/// @param mirror the name of a port that gets a copy of every frame that passes this one
public record PortSettings(
        String name,
        PortVlans vlans,
        boolean isolated,
        AddressPins pins,
        List<FrameRule> rules,
        StormLimits storm,
        boolean loopGuard,
        boolean sticky,
        List<MacAddress> addresses,
        Optional<String> mirror) {
    public PortSettings {
        rules = List.copyOf(rules);
        addresses = List.copyOf(addresses);
        if (name.isEmpty() || name.length() > 64) {
            throw new IllegalArgumentException("port name '" + name + "' is empty or too long");
        }
        if (rules.size() > RuleTable.MAX_RULES) {
            throw new IllegalArgumentException(
                    "port "
                            + name
                            + ": "
                            + rules.size()
                            + " rules, at most "
                            + RuleTable.MAX_RULES);
        }
        if (mirror.isPresent() && mirror.get().equals(name)) {
            throw new IllegalArgumentException("port " + name + " cannot mirror itself");
        }
        for (MacAddress mac : addresses) {
            if (mac.isGroup()) {
                throw new IllegalArgumentException(
                        "port " + name + ": " + mac + " is a group, no port's own address");
            }
        }
    }

    /// A port with nothing special about it: an access port of VLAN 1 that may use any address.
    public static PortSettings of(String name) {
        return new PortSettings(
                name,
                PortVlans.DEFAULT,
                false,
                AddressPins.NONE,
                List.of(),
                StormLimits.NONE,
                false,
                false,
                List.of(),
                Optional.empty());
    }

    public PortSettings withName(String now) {
        return new PortSettings(
                now, vlans, isolated, pins, rules, storm, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withVlans(PortVlans now) {
        return new PortSettings(
                name, now, isolated, pins, rules, storm, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withIsolated(boolean now) {
        return new PortSettings(
                name, vlans, now, pins, rules, storm, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withPins(AddressPins now) {
        return new PortSettings(
                name, vlans, isolated, now, rules, storm, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withRules(List<FrameRule> now) {
        return new PortSettings(
                name, vlans, isolated, pins, now, storm, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withStorm(StormLimits now) {
        return new PortSettings(
                name, vlans, isolated, pins, rules, now, loopGuard, sticky, addresses, mirror);
    }

    public PortSettings withLoopGuard(boolean now) {
        return new PortSettings(
                name, vlans, isolated, pins, rules, storm, now, sticky, addresses, mirror);
    }

    public PortSettings withSticky(boolean now) {
        return new PortSettings(
                name, vlans, isolated, pins, rules, storm, loopGuard, now, addresses, mirror);
    }

    public PortSettings withAddresses(List<MacAddress> now) {
        return new PortSettings(
                name, vlans, isolated, pins, rules, storm, loopGuard, sticky, now, mirror);
    }

    public PortSettings withMirror(String now) {
        return new PortSettings(
                name,
                vlans,
                isolated,
                pins,
                rules,
                storm,
                loopGuard,
                sticky,
                addresses,
                Optional.of(now));
    }
}
