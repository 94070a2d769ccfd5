package org.splitring.bridge;

import java.util.Optional;

/// One line of a port's firewall: what happens to the frames that a pattern fits.
///
/// Rules are tried in their order, and the first that fits decides; a frame that none fits passes.
/// Text form, words with spaces between them:
///
///     tx|rx  accept|drop|limit RATE|redirect PORT  [pattern]
///
/// `tx` is what the guest sends, `rx` what it is sent. `RATE` is in frames a second (`1000f`)
/// or bytes a
/// second (`125000`). The pattern is any of `arp`, `ip`, `ip6`, `tcp`, `udp`, `icmp`, `icmp6`,
/// `proto N`, `type N`,
/// `src` and `dst` with a MAC address or an IP prefix, `sport` and `dport` with a number or a
/// range `N-M`.
///
/// Packets that a pattern cannot be compared with, because their headers make no sense or are
/// cut so
/// that the ports are in no fragment's first bytes, are dropped where a rule of that direction
/// looks at IP.
///
/// @param direction which way the frames go
/// @param pattern which frames
/// @param action what is done with them
public record FrameRule(Direction direction, FramePattern pattern, Action action) {
    /// Seen from the guest, as in netif.h.
    public enum Direction {
        TX,
        RX
    }

    /// What a rule does.
    public sealed interface Action {}

    /// Lets the frame pass.
    public record Accept() implements Action {}

    /// Drops the frame.
    public record Drop() implements Action {}

    /// Lets so much pass, a second's worth at once, and drops the rest.
    ///
    /// @param perSecond frames or bytes
    /// @param bytes whether bytes are counted
    public record Limit(long perSecond, boolean bytes) implements Action {
        public Limit {
            if (perSecond < 1 || perSecond > TokenBucket.MAX_BURST) {
                throw new IllegalArgumentException("limit " + perSecond + " a second");
            }
        }
    }

    /// Sends the frame out of another port, and nowhere else. Only for `tx`.
    ///
    /// @param port its name; while there is none, the frames are dropped
    public record Redirect(String port) implements Action {}

    public FrameRule {
        if (direction == Direction.RX && action instanceof Redirect) {
            throw new IllegalArgumentException("redirect is for tx rules only");
        }
    }

    /// Reads the text form.
    ///
    /// @throws IllegalArgumentException with the word that is wrong
    public static FrameRule parse(String text) {
        RuleWords words = new RuleWords(text);
        Direction direction =
                switch (words.next("tx or rx")) {
                    case "tx" -> Direction.TX;
                    case "rx" -> Direction.RX;
                    default -> throw words.bad("a rule begins with tx or rx");
                };
        Action action =
                switch (words.next("an action")) {
                    case "accept" -> new Accept();
                    case "drop" -> new Drop();
                    case "limit" -> limit(words);
                    case "redirect" -> new Redirect(words.next("a port"));
                    default -> throw words.bad("no action: accept, drop, limit or redirect");
                };
        FramePattern pattern = words.pattern();
        try {
            return new FrameRule(direction, pattern, action);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("rule '" + text + "': " + e.getMessage(), e);
        }
    }

    private static Limit limit(RuleWords words) {
        String rate = words.next("a rate");
        boolean frames = rate.endsWith("f");
        Optional<Long> number =
                RuleWords.number(frames ? rate.substring(0, rate.length() - 1) : rate);
        if (number.isEmpty() || number.get() < 1 || number.get() > TokenBucket.MAX_BURST) {
            throw words.bad("no rate");
        }
        return new Limit(number.get(), !frames);
    }
}
