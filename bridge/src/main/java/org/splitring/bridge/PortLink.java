package org.splitring.bridge;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.FrameRule.Direction;

/// A network's end of one port: what the port sends into, and where the network's modes send out.
///
/// Made by [VirtualNetwork#attach]. Everything but [#counters], [#settings] and [#toString] is
/// called on the
/// network's loop.
public final class PortLink implements FrameSink {
    private final VirtualNetwork network;
    private final FramePort port;
    private final PortCounters counters = new PortCounters();
    /// Place in the network's table of ports, and in those of its forwarder.
    final int index;

    private volatile PortSettings settings;
    // What settings ask for, made ready; null is the usual case and costs a comparison.
    private @Nullable PinCheck pins;
    private @Nullable RuleTable txRules;
    private @Nullable RuleTable rxRules;
    private @Nullable PortLink mirror;
    private @Nullable Capture capture;
    private PortCapabilities capabilities;
    private int maxFrameBytes;
    private boolean attached = true;

    /// Whether frames were offered since the last flush; the network's.
    boolean dirty;

    PortLink(
            VirtualNetwork network,
            FramePort port,
            int index,
            PortSettings settings,
            PortCapabilities capabilities) {
        this.network = network;
        this.port = port;
        this.index = index;
        this.settings = settings;
        this.capabilities = capabilities;
        maxFrameBytes = mtu() + Frame.ETHERNET_BYTES;
        prepare();
    }

    private void prepare() {
        PortSettings now = settings;
        pins = now.pins().macs().isEmpty() ? null : new PinCheck(now.pins());
        txRules = rules(now.rules(), Direction.TX);
        rxRules = rules(now.rules(), Direction.RX);
    }

    private @Nullable RuleTable rules(List<FrameRule> all, Direction direction) {
        List<FrameRule> mine = all.stream().filter(r -> r.direction() == direction).toList();
        return mine.isEmpty() ? null : new RuleTable(mine, network.now());
    }

    /// Looks up the ports that the settings name, again after ports came or went.
    void resolve() {
        mirror = settings.mirror().map(network::port).orElse(null);
        if (txRules != null) {
            txRules.resolve(network);
        }
    }

    @Override
    public void receive(Frame frame) {
        if (!attached) {
            return;
        }
        int sizeBytes = frame.sizeBytes();
        if (frame.headerBytes() < Frame.ETHERNET_BYTES) {
            drop(PortCounter.IN_DROPPED_RUNT);
            return;
        }
        if (frame.gsoType() != GsoType.NONE && !GsoCutter.agrees(frame)) {
            drop(PortCounter.IN_DROPPED_OFFLOAD);
            return;
        }
        counters.add(PortCounter.IN_FRAMES, 1);
        counters.add(PortCounter.IN_BYTES, sizeBytes);
        if (capture != null) {
            capture.in(this, frame);
        }
        if (pins != null && !pins.admits(frame)) {
            drop(PortCounter.IN_DROPPED_PINNED);
            return;
        }
        if (mirror != null) {
            mirror.sendMirrored(frame);
        }
        if (txRules != null) {
            int decision = txRules.decide(frame, network.batchNanos());
            if (decision == RuleTable.REDIRECT) {
                PortLink target = txRules.target();
                if (target != null && target != this) {
                    target.send(frame);
                }
                return;
            }
            if (decision == RuleTable.DROP) {
                drop(PortCounter.IN_DROPPED_RULE);
                return;
            }
        }
        network.forwarder().forward(this, frame);
    }

    @Override
    public void endBatch() {
        network.flush();
    }

    /// Sends one frame out of this port, as whole as the port can take it. Called by forwarders.
    ///
    /// @return whether the port took all of it
    boolean send(Frame frame) {
        if (rxRules != null && rxRules.decide(frame, network.batchNanos()) == RuleTable.DROP) {
            drop(PortCounter.OUT_DROPPED_RULE);
            return false;
        }
        if (mirror != null) {
            mirror.sendMirrored(frame);
        }
        return sendUnchecked(frame);
    }

    /// A copy of what passes another port: neither rules nor a further mirror apply to it.
    private void sendMirrored(Frame frame) {
        counters.add(PortCounter.OUT_MIRRORED, 1);
        sendUnchecked(frame);
    }

    private boolean sendUnchecked(Frame frame) {
        GsoType gso = frame.gsoType();
        if (gso != GsoType.NONE) {
            boolean takes =
                    (gso == GsoType.TCPV4 ? capabilities.gsoV4() : capabilities.gsoV6())
                            && frame.sizeBytes() <= capabilities.gsoMaxBytes();
            return takes ? offer(frame) : network.cutter().cut(frame, this);
        }
        return sendWhole(frame);
    }

    /// Sends a frame that is no large segment: checks its size and completes its checksum where
    /// the port cannot.
    boolean sendWhole(Frame frame) {
        if (frame.sizeBytes() > maxFrameBytes && tooBig(frame)) {
            drop(PortCounter.OUT_DROPPED_TOO_BIG);
            return false;
        }
        if (frame.checksumState() == ChecksumState.PARTIAL && !takesPartial(frame)) {
            InternetChecksum.complete(frame);
            counters.add(PortCounter.OUT_CHECKSUMS, 1);
        }
        return offer(frame);
    }

    private boolean tooBig(Frame frame) {
        return frame.sizeBytes() > maxFrameBytes + frame.layers().tags * Frame.TAG_BYTES;
    }

    private boolean takesPartial(Frame frame) {
        return switch (frame.layers().ipVersion) {
            case 4 -> capabilities.checksumV4();
            case 6 -> capabilities.checksumV6();
            default -> false;
        };
    }

    private boolean offer(Frame frame) {
        if (!dirty) {
            network.markDirty(this);
        }
        int sizeBytes = frame.sizeBytes();
        if (!port.offer(frame)) {
            drop(PortCounter.OUT_DROPPED_FULL);
            return false;
        }
        if (capture != null) {
            capture.out(this, frame);
        }
        counters.add(PortCounter.OUT_FRAMES, 1);
        counters.add(PortCounter.OUT_BYTES, sizeBytes);
        return true;
    }

    VirtualNetwork network() {
        return network;
    }

    /// Counts a frame, or a copy of one, that ended here; for ports, one that never got to
    /// [#receive].
    public void drop(PortCounter why) {
        counters.add(why, 1);
    }

    void flushPort() {
        dirty = false;
        if (attached) {
            port.flush();
        }
    }

    /// Says that the port can take something else from now on: a frontend has connected with other
    /// features, an MTU was changed.
    public void capabilities(PortCapabilities now) {
        capabilities = now;
        maxFrameBytes = mtu() + Frame.ETHERNET_BYTES;
    }

    /// Most bytes of a frame's payload here: what the port takes and the network allows.
    public int mtu() {
        return Math.min(capabilities.mtu(), network.mtu());
    }

    public PortCapabilities capabilities() {
        return capabilities;
    }

    /// Replaces the settings; the next frame is handled by the new ones.
    ///
    /// @throws IllegalArgumentException when they cannot be had in this network; the old ones
    ///     stay
    public void configure(PortSettings now) {
        network.checkSettings(now, this);
        settings = now;
        prepare();
        network.forwarder().configured(this);
        network.resolve();
    }

    /// Copies every frame that passes this port into a file, until [#stopCapture].
    public void startCapture(Capture into) {
        capture = into;
        network.capturing(into);
    }

    /// Stops capturing at this port. The capture is then to be closed.
    public void stopCapture() {
        if (capture != null) {
            network.stopCapturing(capture);
        }
    }

    void captureInto(@Nullable Capture into) {
        capture = into;
    }

    @Nullable Capture capture() {
        return capture;
    }

    /// Any thread.
    public PortSettings settings() {
        return settings;
    }

    /// Any thread.
    public PortCounters counters() {
        return counters;
    }

    /// Takes the port out of the network. What it sends afterwards is dropped without a count,
    /// and nothing is offered to
    /// it any more. A second call does nothing.
    public void detach() {
        if (attached) {
            attached = false;
            network.detach(this);
        }
    }

    @Override
    public String toString() {
        return settings.name();
    }
}
