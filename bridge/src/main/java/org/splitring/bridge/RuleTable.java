package org.splitring.bridge;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.FramePattern.Range;
import org.splitring.bridge.IntervalIndex.Interval;

/// The rules of one port and direction, made ready for the data path: for each field that any
/// rule looks
/// at, an index that gives the set of rules a value fits. The sets are cut with each other,
/// and the first rule that is left decides. So a frame costs one binary search for each field and
/// one word for each 64 rules, whatever is in it (N-51).
///
/// The network's loop.
final class RuleTable {
    static final int MAX_RULES = 512;

    /// What [#decide] says.
    static final int ACCEPT = 0;

    static final int DROP = 1;
    static final int REDIRECT = 2;

    private final List<FrameRule> rules;
    private final @Nullable IntervalIndex etherType;
    private final @Nullable IntervalIndex sourceMac;
    private final @Nullable IntervalIndex destinationMac;
    private final @Nullable IntervalIndex source;
    private final @Nullable IntervalIndex destination;
    private final @Nullable IntervalIndex ipProtocol;
    private final @Nullable IntervalIndex sourcePort;
    private final @Nullable IntervalIndex destinationPort;
    private final boolean looksAtIp;
    private final boolean looksAtPorts;
    private final boolean looksAtLayers;

    private final int[] outcomes;
    private final @Nullable TokenBucket[] buckets;
    private final boolean[] countsBytes;
    private final @Nullable PortLink[] targets;
    private final long[] fitting;
    private @Nullable PortLink target;

    RuleTable(List<FrameRule> rules, long nowNanos) {
        this.rules = rules;
        etherType = index(r -> r.impliedEtherType().map(RuleTable::interval));
        sourceMac = index(r -> r.sourceMac().map(RuleTable::interval));
        destinationMac = index(r -> r.destinationMac().map(RuleTable::interval));
        source = index(r -> r.source().map(RuleTable::interval));
        destination = index(r -> r.destination().map(RuleTable::interval));
        ipProtocol = index(r -> r.ipProtocol().map(RuleTable::interval));
        sourcePort = index(r -> r.sourcePort().map(RuleTable::interval));
        destinationPort = index(r -> r.destinationPort().map(RuleTable::interval));
        looksAtPorts = rules.stream().anyMatch(r -> r.pattern().looksAtPorts());
        looksAtIp = looksAtPorts || rules.stream().anyMatch(r -> r.pattern().looksAtIp());
        looksAtLayers = looksAtIp || etherType != null;
        buckets = new TokenBucket[rules.size()];
        targets = new PortLink[rules.size()];
        fitting = new long[(rules.size() + 63) / 64];
        countsBytes = new boolean[rules.size()];
        outcomes = new int[rules.size()];
        for (int i = 0; i < rules.size(); i++) {
            outcomes[i] =
                    switch (rules.get(i).action()) {
                        case FrameRule.Accept _ -> ACCEPT;
                        case FrameRule.Drop _ -> DROP;
                        case FrameRule.Redirect _ -> REDIRECT;
                        case FrameRule.Limit limit -> {
                            countsBytes[i] = limit.bytes();
                            buckets[i] = bucket(limit, nowNanos);
                            yield ACCEPT;
                        }
                    };
        }
    }

    /// A second's worth at once, and always one of the largest frames.
    private static TokenBucket bucket(FrameRule.Limit limit, long nowNanos) {
        long burst = limit.bytes() ? Frame.MAX_BYTES : 1;
        return new TokenBucket(limit.perSecond(), Math.max(burst, limit.perSecond()), nowNanos);
    }

    private @Nullable IntervalIndex index(Function<FramePattern, Optional<Interval>> field) {
        List<Optional<Interval>> all = rules.stream().map(r -> field.apply(r.pattern())).toList();
        return all.stream().allMatch(Optional::isEmpty) ? null : new IntervalIndex(all);
    }

    private static Interval interval(Range range) {
        return new Interval(BigInteger.valueOf(range.first()), BigInteger.valueOf(range.last()));
    }

    private static Interval interval(MacAddress mac) {
        return new Interval(BigInteger.valueOf(mac.value()), BigInteger.valueOf(mac.value()));
    }

    private static Interval interval(IpPrefix prefix) {
        return new Interval(prefix.first(), prefix.last());
    }

    /// Looks up the ports that rules redirect to, again after ports came or went.
    void resolve(VirtualNetwork network) {
        for (int i = 0; i < targets.length; i++) {
            if (rules.get(i).action() instanceof FrameRule.Redirect redirect) {
                targets[i] = network.port(redirect.port());
            }
        }
    }

    /// Decides about one frame: [#ACCEPT], [#DROP], or [#REDIRECT] to [#target].
    int decide(Frame frame, long nowNanos) {
        Arrays.fill(fitting, -1L);
        if (sourceMac != null) {
            sourceMac.keepFitting(fitting, 0, frame.mac(6));
        }
        if (destinationMac != null) {
            destinationMac.keepFitting(fitting, 0, frame.mac(0));
        }
        if (looksAtLayers && !keepFittingLayers(frame)) {
            return DROP;
        }
        for (int i = 0; i < fitting.length; i++) {
            if (fitting[i] != 0) {
                int rule = i * 64 + Long.numberOfTrailingZeros(fitting[i]);
                // Bits beyond the last rule are set where no field is looked at.
                return rule < rules.size() ? act(rule, frame, nowNanos) : ACCEPT;
            }
        }
        return ACCEPT;
    }

    private int act(int rule, Frame frame, long nowNanos) {
        TokenBucket bucket = buckets[rule];
        if (bucket != null) {
            return bucket.take(countsBytes[rule] ? frame.sizeBytes() : 1, nowNanos) ? ACCEPT : DROP;
        }
        if (outcomes[rule] == REDIRECT) {
            target = targets[rule];
            return target == null ? DROP : REDIRECT;
        }
        return outcomes[rule];
    }

    /// Where the last [#REDIRECT] goes.
    @Nullable PortLink target() {
        return target;
    }

    /// @return `false` when the frame cannot be compared with the rules
    private boolean keepFittingLayers(Frame frame) {
        FrameLayers layers = frame.layers();
        if (etherType != null) {
            etherType.keepFitting(fitting, 0, layers.etherType);
        }
        if (!looksAtIp) {
            return true;
        }
        if (layers.ipVersion == 0) {
            boolean hidden =
                    layers.etherType == FrameLayers.IPV4
                            || layers.etherType == FrameLayers.IPV6
                            || FrameLayers.isTag(layers.etherType);
            if (hidden) {
                return false;
            }
            if (layers.etherType == FrameLayers.ARP) {
                return keepFittingArp(frame, layers);
            }
            keepWithout(source);
            keepWithout(destination);
            keepWithout(ipProtocol);
            keepWithout(sourcePort);
            keepWithout(destinationPort);
            return true;
        }
        int at = layers.l3At;
        if (layers.ipVersion == 4) {
            keepAddress(source, 0, mapped(frame.i32(at + 12)));
            keepAddress(destination, 0, mapped(frame.i32(at + 16)));
        } else {
            keepAddress(source, frame.i64(at + 8), frame.i64(at + 16));
            keepAddress(destination, frame.i64(at + 24), frame.i64(at + 32));
        }
        if (ipProtocol != null) {
            ipProtocol.keepFitting(fitting, 0, layers.ipProtocol);
        }
        return keepFittingPorts(frame, layers);
    }

    private boolean keepFittingPorts(Frame frame, FrameLayers layers) {
        if (!looksAtPorts) {
            return true;
        }
        boolean ported =
                layers.ipProtocol == FrameLayers.TCP || layers.ipProtocol == FrameLayers.UDP;
        if (ported && layers.fragmentOffset == 0 && !layers.hasPorts(frame)) {
            return false; // a first fragment too short for its ports (RFC 1858)
        }
        if (ported && layers.fragmentOffset == 8) {
            return false; // one that would be laid over them (RFC 3128)
        }
        if (layers.hasPorts(frame)) {
            keepPort(sourcePort, frame.u16(layers.l4At));
            keepPort(destinationPort, frame.u16(layers.l4At + 2));
        } else {
            keepWithout(sourcePort);
            keepWithout(destinationPort);
        }
        return true;
    }

    private boolean keepFittingArp(Frame frame, FrameLayers layers) {
        if (layers.l3At + 28 > frame.headerBytes()) {
            return false;
        }
        keepAddress(source, 0, mapped(frame.i32(layers.l3At + 14)));
        keepAddress(destination, 0, mapped(frame.i32(layers.l3At + 24)));
        keepWithout(ipProtocol);
        keepWithout(sourcePort);
        keepWithout(destinationPort);
        return true;
    }

    private static long mapped(int ipv4) {
        return 0xFFFF_0000_0000L | Integer.toUnsignedLong(ipv4);
    }

    private void keepAddress(@Nullable IntervalIndex index, long high, long low) {
        if (index != null) {
            index.keepFitting(fitting, high, low);
        }
    }

    private void keepPort(@Nullable IntervalIndex index, int port) {
        if (index != null) {
            index.keepFitting(fitting, 0, port);
        }
    }

    private void keepWithout(@Nullable IntervalIndex index) {
        if (index != null) {
            index.keepWithout(fitting);
        }
    }
}
