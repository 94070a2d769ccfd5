package org.splitring.bridge;

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
        maxFrameBytes = capabilities.mtu() + Frame.ETHERNET_BYTES;
    }

    @Override
    public void receive(Frame frame) {
        if (!attached) {
            return;
        }
        int sizeBytes = frame.sizeBytes();
        if (sizeBytes < Frame.ETHERNET_BYTES) {
            drop(PortCounter.IN_DROPPED_RUNT);
            return;
        }
        if (frame.gsoType() != GsoType.NONE && !GsoCutter.agrees(frame)) {
            drop(PortCounter.IN_DROPPED_OFFLOAD);
            return;
        }
        counters.add(PortCounter.IN_FRAMES, 1);
        counters.add(PortCounter.IN_BYTES, sizeBytes);
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
        port.flush();
    }

    /// Says that the port can take something else from now on: a frontend has connected with other
    /// features, an MTU was changed.
    public void capabilities(PortCapabilities now) {
        capabilities = now;
        maxFrameBytes = now.mtu() + Frame.ETHERNET_BYTES;
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
        network.forwarder().configured(this);
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
