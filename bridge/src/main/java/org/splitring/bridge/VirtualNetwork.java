package org.splitring.bridge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// A network that guests are plugged into: its ports, and the mode in which frames go between
/// them.
///
/// It belongs to one event loop, as its ports do: every method is called there, unless it says
/// otherwise. The mode can be exchanged for another between two frames.
public final class VirtualNetwork {
    /// Most ports of one network.
    public static final int MAX_PORTS = 1024;

    private final String name;
    private final Executor loop;
    private final LongSupplier nanoTime;
    private final GsoCutter cutter = new GsoCutter();
    private Forwarder forwarder;
    private int mtu = PortCapabilities.MAX_MTU;
    private @Nullable PortLink[] links = new PortLink[16];

    private PortLink[] dirty = new PortLink[16];
    private int dirtyCount;

    private final List<Capture> captures = new ArrayList<>();
    private @Nullable Capture everything;

    private long batchNanos;

    private int batchSeconds;
    /// Whether the clock has been looked at in this batch.
    private boolean batchTimed;

    /// @param loop the event loop that all ports are served by
    /// @param nanoTime monotonic time in nanoseconds, as `System.nanoTime`
    /// @param mode how frames are forwarded at first
    public VirtualNetwork(String name, Executor loop, LongSupplier nanoTime, Forwarder mode) {
        this.name = name;
        this.loop = loop;
        this.nanoTime = nanoTime;
        forwarder = mode;
    }

    /// Limits what all ports send that is no GSO frame, whatever they could take themselves; at
    /// first nothing does.
    ///
    /// @param bytes after the Ethernet header and tags, [PortCapabilities#MIN_MTU] to
    ///     [PortCapabilities#MAX_MTU]
    public void mtu(int bytes) {
        if (bytes < PortCapabilities.MIN_MTU || bytes > PortCapabilities.MAX_MTU) {
            throw new IllegalArgumentException("MTU " + bytes + " of network " + name);
        }
        mtu = bytes;
        for (PortLink link : links) {
            if (link != null) {
                link.capabilities(link.capabilities());
            }
        }
    }

    int mtu() {
        return mtu;
    }

    /// Plugs a port in. From now on it is offered frames; what it receives it passes to the
    /// link that is returned.
    ///
    /// @throws IllegalArgumentException when the settings cannot be had in this network
    /// @throws IllegalStateException when there are [#MAX_PORTS] already
    public PortLink attach(FramePort port, PortSettings settings, PortCapabilities capabilities) {
        checkSettings(settings, null);
        int index = freeIndex();
        PortLink link = new PortLink(this, port, index, settings, capabilities);
        links[index] = link;
        forwarder.configured(link);
        link.captureInto(everything);
        resolve();
        return link;
    }

    /// Looks up again what settings name.
    void resolve() {
        for (PortLink link : links) {
            if (link != null) {
                link.resolve();
            }
        }
    }

    /// The port of that name.
    public @Nullable PortLink port(String portName) {
        for (PortLink link : links) {
            if (link != null && link.settings().name().equals(portName)) {
                return link;
            }
        }
        return null;
    }

    /// Copies every frame that passes any port, also of ports to come, into a file, until
    /// [#stopCapture]. Captures of single ports end with it.
    public void startCapture(Capture into) {
        for (PortLink link : links) {
            if (link != null) {
                link.startCapture(into);
            }
        }
        everything = into;
        capturing(into);
    }

    /// Stops every capture of this network. They are then to be closed.
    public void stopCapture() {
        for (Capture each : List.copyOf(captures)) {
            stopCapturing(each);
        }
    }

    /// Stops one capture, wherever it was started. It is then to be closed.
    public void stopCapture(Capture ended) {
        stopCapturing(ended);
    }

    void capturing(Capture into) {
        if (!captures.contains(into)) {
            captures.add(into);
            into.started(loop);
        }
    }

    void stopCapturing(Capture ended) {
        ended.handOver();
        captures.remove(ended);
        for (PortLink link : links) {
            if (link != null && link.capture() == ended) {
                link.captureInto(null);
            }
        }
        if (everything == ended) {
            everything = null;
        }
    }

    /// The clock, looked at now: for what happens seldom.
    long now() {
        return nanoTime.getAsLong();
    }

    private int freeIndex() {
        for (int i = 0; i < links.length; i++) {
            if (links[i] == null) {
                return i;
            }
        }
        int index = links.length;
        if (index == MAX_PORTS) {
            throw new IllegalStateException(
                    "network " + name + " has " + MAX_PORTS + " ports already");
        }
        links = Arrays.copyOf(links, index * 2);
        return index;
    }

    void checkSettings(PortSettings settings, @Nullable PortLink self) {
        forwarder.check(settings, self);
        for (PortLink link : links) {
            if (link != null && link != self && link.settings().name().equals(settings.name())) {
                throw new IllegalArgumentException(
                        "network " + name + " has a port " + settings.name() + " already");
            }
        }
    }

    void detach(PortLink link) {
        links[link.index] = null;
        forwarder.detached(link);
        resolve();
    }

    /// Changes the mode. The ports stay plugged in; what was learned or translated is forgotten.
    /// Hosts whose caches are of the time before are corrected as soon as they send something.
    ///
    /// @param mode one that no network has had before
    /// @throws IllegalArgumentException when a port cannot be had in it; the mode is then as before
    public void mode(Forwarder mode) {
        for (PortLink link : links) {
            if (link != null) {
                mode.check(link.settings(), link);
            }
        }
        for (PortLink link : links) {
            if (link != null) {
                mode.configured(link);
            }
        }
        Forwarder before = forwarder;
        before.leaves();
        forwarder = mode;
        mode.follows(before, this);
        flush();
    }

    public Forwarder mode() {
        return forwarder;
    }

    Forwarder forwarder() {
        return forwarder;
    }

    GsoCutter cutter() {
        return cutter;
    }

    /// The ports that are plugged in now.
    public List<PortLink> ports() {
        List<PortLink> ports = new ArrayList<>();
        for (PortLink link : links) {
            if (link != null) {
                ports.add(link);
            }
        }
        return ports;
    }

    /// Any thread.
    public String name() {
        return name;
    }

    /// The loop that everything here is called on. Any thread.
    public Executor loop() {
        return loop;
    }

    /// The time of the batch that is under way: one look at the clock for all its frames.
    long batchNanos() {
        if (!batchTimed) {
            batchTimed = true;
            batchNanos = nanoTime.getAsLong();
            batchSeconds = (int) (batchNanos / 1_000_000_000L);
        }
        return batchNanos;
    }

    /// [#batchNanos] in whole seconds; only differences mean something.
    int batchSeconds() {
        batchNanos();
        return batchSeconds;
    }

    /// Lets the mode do what time asks for: ask again for addresses, forget what has expired. To be
    /// called about once a second by whoever owns the network. A learning switch does not need it.
    public void tick() {
        forwarder.tick(this);
        flush();
    }

    void markDirty(PortLink link) {
        link.dirty = true;
        if (dirtyCount == dirty.length) {
            dirty = Arrays.copyOf(dirty, dirtyCount * 2);
        }
        dirty[dirtyCount++] = link;
    }

    /// Flushes the ports that were offered frames.
    void flush() {
        batchTimed = false;
        for (int i = 0; i < dirtyCount; i++) {
            dirty[i].flushPort();
        }
        dirtyCount = 0;
        for (int i = 0; i < captures.size(); i++) {
            captures.get(i).flush();
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
