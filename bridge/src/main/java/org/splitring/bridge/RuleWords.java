package org.splitring.bridge;

import java.util.List;
import java.util.Optional;
import org.splitring.bridge.FramePattern.Range;

/// Reads the words of a rule, one after the other.
final class RuleWords {
    private final String text;
    private final List<String> words;
    private int next;

    RuleWords(String text) {
        this.text = text;
        words = List.of(text.strip().split("\\s+"));
    }

    String next(String wanted) {
        if (next == words.size()) {
            throw new IllegalArgumentException(
                    "rule '" + text + "' ends where " + wanted + " is due");
        }
        return words.get(next++);
    }

    /// An exception about the last word.
    IllegalArgumentException bad(String why) {
        return new IllegalArgumentException(
                "rule '" + text + "': '" + words.get(next - 1) + "': " + why);
    }

    /// A number, decimal or with `0x`.
    static Optional<Long> number(String word) {
        try {
            return Optional.of(Long.decode(word));
        } catch (NumberFormatException e) {
            return Optional.empty();
        }
    }

    private Range range(int most) {
        String word = next("a number");
        int dash = word.indexOf('-', 1);
        Optional<Long> first = number(dash < 0 ? word : word.substring(0, dash));
        Optional<Long> last = dash < 0 ? first : number(word.substring(dash + 1));
        if (first.isEmpty()
                || last.isEmpty()
                || first.get() < 0
                || last.get() > most
                || last.get() < first.get()) {
            throw bad("no number or range from 0 to " + most);
        }
        return new Range(first.get().intValue(), last.get().intValue());
    }

    private <T> Optional<T> once(Optional<T> before, T now) {
        if (before.isPresent()) {
            throw bad("said twice");
        }
        return Optional.of(now);
    }

    FramePattern pattern() {
        Optional<Range> type = Optional.empty();
        Optional<MacAddress> sourceMac = Optional.empty();
        Optional<MacAddress> destinationMac = Optional.empty();
        Optional<IpPrefix> source = Optional.empty();
        Optional<IpPrefix> destination = Optional.empty();
        Optional<Range> protocol = Optional.empty();
        Optional<Range> sourcePort = Optional.empty();
        Optional<Range> destinationPort = Optional.empty();
        while (next < words.size()) {
            switch (words.get(next++)) {
                case "arp" -> type = once(type, Range.of(FrameLayers.ARP));
                case "ip" -> type = once(type, Range.of(FrameLayers.IPV4));
                case "ip6" -> type = once(type, Range.of(FrameLayers.IPV6));
                case "type" -> type = once(type, range(0xFFFF));
                case "tcp" -> protocol = once(protocol, Range.of(FrameLayers.TCP));
                case "udp" -> protocol = once(protocol, Range.of(FrameLayers.UDP));
                case "icmp" -> protocol = once(protocol, Range.of(FrameLayers.ICMP));
                case "icmp6" -> protocol = once(protocol, Range.of(FrameLayers.ICMPV6));
                case "proto" -> protocol = once(protocol, range(255));
                case "sport" -> sourcePort = once(sourcePort, range(0xFFFF));
                case "dport" -> destinationPort = once(destinationPort, range(0xFFFF));
                case "src" -> {
                    String word = next("an address");
                    if (isMac(word)) {
                        sourceMac = once(sourceMac, mac(word));
                    } else {
                        source = once(source, prefix(word));
                    }
                }
                case "dst" -> {
                    String word = next("an address");
                    if (isMac(word)) {
                        destinationMac = once(destinationMac, mac(word));
                    } else {
                        destination = once(destination, prefix(word));
                    }
                }
                default -> throw bad("not a word of a pattern");
            }
        }
        return new FramePattern(
                type,
                sourceMac,
                destinationMac,
                source,
                destination,
                protocol,
                sourcePort,
                destinationPort);
    }

    /// Six groups of two digits; IPv6 addresses of six groups have `::` or four digits somewhere.
    private static boolean isMac(String word) {
        return word.length() == 17 && word.chars().filter(c -> c == ':').count() == 5;
    }

    private MacAddress mac(String word) {
        try {
            return MacAddress.parse(word);
        } catch (IllegalArgumentException e) {
            throw bad("no MAC address");
        }
    }

    private IpPrefix prefix(String word) {
        try {
            return IpPrefix.parse(word);
        } catch (IllegalArgumentException e) {
            throw bad("no address or prefix: " + e.getMessage());
        }
    }
}
