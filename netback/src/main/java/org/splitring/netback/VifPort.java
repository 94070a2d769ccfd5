package org.splitring.netback;

import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.FrameSink;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;

/// The port of a vif in its network, for as long as the device is there, connected or not. On the
/// network's loop, except where a method says otherwise.
final class VifPort implements FramePort, FrameSink {
    private static final Logger LOG = LoggerFactory.getLogger(VifPort.class);

    private final VifPlace place;
    private final VifCounters counters;
    private final CreditBucket credit = new CreditBucket();

    private @Nullable PortLink link;
    private @Nullable VifConnection connection;
    private boolean ended;
    private volatile String refusal = "";

    VifPort(VifPlace place, VifCounters counters) {
        this.place = place;
        this.counters = counters;
    }

    /// Plugs the port in. Any thread.
    void attach() {
        onLoop(
                () -> {
                    try {
                        if (!ended) {
                            link =
                                    place.network()
                                            .attach(
                                                    this,
                                                    place.settings(),
                                                    PortCapabilities.plain(place.mtu()));
                        }
                    } catch (IllegalArgumentException | IllegalStateException e) {
                        refusal = String.valueOf(e.getMessage());
                        LOG.warn("vif {}: {}", place.settings().name(), refusal);
                    }
                });
    }

    /// Why the network does not have this port; empty when it has. Any thread.
    String refusal() {
        return refusal;
    }

    /// The limit of all queues together.
    CreditBucket credit() {
        return credit;
    }

    /// A rate that applies from now on. Any thread.
    void limit(VifRate rate) {
        onLoop(
                () -> {
                    credit.limit(rate, place.loop().nanoTime());
                    VifConnection now = connection;
                    if (now != null) {
                        now.limitChanged();
                    }
                });
    }

    /// From now on frames go to this connection.
    void connect(VifConnection now, PortCapabilities capabilities) {
        connection = now;
        PortLink port = link;
        if (port != null) {
            port.capabilities(capabilities);
        }
    }

    /// Nothing goes to this connection any more.
    void disconnect(VifConnection before) {
        if (connection == before) {
            connection = null;
        }
    }

    /// The device is gone. Any thread.
    void detach() {
        onLoop(
                () -> {
                    ended = true;
                    PortLink port = link;
                    link = null;
                    if (port != null) {
                        port.detach();
                    }
                });
    }

    @Override
    public boolean offer(Frame frame) {
        VifConnection now = connection;
        if (now == null) {
            VifCounters.add(counters.rxNotConnected, 1);
            return false;
        }
        return now.offer(frame);
    }

    @Override
    public void flush() {
        VifConnection now = connection;
        if (now != null) {
            now.flush();
        }
    }

    /// From the guest into the network.
    @Override
    public void receive(Frame frame) {
        PortLink port = link;
        if (port != null) {
            port.receive(frame);
        }
    }

    @Override
    public void endBatch() {
        PortLink port = link;
        if (port != null) {
            port.endBatch();
        }
    }

    private void onLoop(Runnable task) {
        try {
            place.loop().execute(task);
        } catch (RejectedExecutionException e) {
            LOG.debug("vif {}: its loop has ended", place.settings().name());
        }
    }
}
