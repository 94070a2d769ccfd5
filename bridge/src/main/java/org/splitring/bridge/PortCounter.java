package org.splitring.bridge;

/// What is counted for each port. "In" is from the port into the network, "out" the other way.
public enum PortCounter {
    IN_FRAMES,
    IN_BYTES,
    OUT_FRAMES,
    OUT_BYTES,
    /// Of the outgoing frames, those that came out of a large segment that was cut for this port.
    OUT_GSO_SEGMENTS,
    /// Of the outgoing frames, those whose checksum was computed for this port.
    OUT_CHECKSUMS,
    /// Of the outgoing frames, those that are copies of what passed another port.
    OUT_MIRRORED,
    /// Shorter than an Ethernet header.
    IN_DROPPED_RUNT,
    /// Larger than [Frame#MAX_BYTES].
    IN_DROPPED_OVERSIZE,
    /// Not from this port's peer, or not of its segment.
    IN_DROPPED_PEER,
    /// A source address that is a group, or fixed to another port.
    IN_DROPPED_SOURCE,
    /// Not from the addresses that are pinned to the port.
    IN_DROPPED_PINNED,
    /// By a rule, or over the limit of one.
    IN_DROPPED_RULE,
    /// Of a VLAN that the port is no member of.
    IN_DROPPED_VLAN,
    /// Over the port's storm limits.
    IN_DROPPED_STORM,
    /// While the loop guard had shut the port.
    IN_DROPPED_LOOP,
    /// GSO or checksum metadata that the headers do not bear out.
    IN_DROPPED_OFFLOAD,
    /// No other port would have had it: same port, isolated, a filtered group, no port at all.
    IN_DROPPED_NOWHERE,
    /// Refused by the network's router, whose [RouterCounters] say why.
    IN_DROPPED_ROUTER,
    /// By a rule, or over the limit of one.
    OUT_DROPPED_RULE,
    /// Larger than the port's MTU.
    OUT_DROPPED_TOO_BIG,
    /// The port had no room: a tail drop.
    OUT_DROPPED_FULL,
}
