package org.splitring.bridge;

import java.net.Inet6Address;
import java.util.Optional;

/// Which frames a rule is for: those that fit everything that is given.
///
/// @param etherType the type behind VLAN tags
/// @param sourceMac sender's MAC address
/// @param destinationMac receiver's MAC address
/// @param source sender's IP addresses; of an ARP packet the sender's IPv4 address
/// @param destination receiver's IP addresses; of an ARP packet the target's IPv4 address
/// @param ipProtocol the upper layer of IP
/// @param sourcePort of TCP or UDP
/// @param destinationPort of TCP or UDP
public record FramePattern(
        Optional<Range> etherType,
        Optional<MacAddress> sourceMac,
        Optional<MacAddress> destinationMac,
        Optional<IpPrefix> source,
        Optional<IpPrefix> destination,
        Optional<Range> ipProtocol,
        Optional<Range> sourcePort,
        Optional<Range> destinationPort) {
    /// Numbers from `first` to `last`, both included.
    ///
    /// @param first smallest
    /// @param last largest
    public record Range(int first, int last) {
        public Range {
            if (first < 0 || last < first || last > 0xFFFF) {
                throw new IllegalArgumentException("no range: " + first + "-" + last);
            }
        }

        static Range of(int one) {
            return new Range(one, one);
        }
    }

    /// All frames.
    public static final FramePattern ANY =
            new FramePattern(
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty());

    /// The type, also when only an IPv6 prefix says it; an IPv4 one fits ARP as well.
    Optional<Range> impliedEtherType() {
        boolean ipv6 =
                source.or(() -> destination)
                        .filter(p -> p.address() instanceof Inet6Address)
                        .isPresent();
        return etherType.isEmpty() && ipv6 ? Optional.of(Range.of(FrameLayers.IPV6)) : etherType;
    }

    boolean looksAtIp() {
        return source.isPresent() || destination.isPresent() || ipProtocol.isPresent();
    }

    boolean looksAtPorts() {
        return sourcePort.isPresent() || destinationPort.isPresent();
    }
}
