package org.splitring.hypervisor.attached;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventGate;

/// A port of the driver domain.
final class DriverPort extends PortEnd implements EventChannel {
    /// Events that come while one is pending, before we stop listening until the port is unmasked.
    private static final int NOISE_LIMIT = 8;

    final AttachedPeer peer;
    private final PortBroker broker;
    private final EventGate gate = new EventGate();
    private int noise; // the loop's
    private volatile @Nullable KickWatch paused;

    DriverPort(PortBroker broker, AttachedPeer peer, DomId domain) {
        super(domain, peer.domid());
        this.broker = broker;
        this.peer = peer;
    }

    @Override
    public int port() {
        return number;
    }

    @Override
    public EventChannelStatus status() {
        return broker.status(this);
    }

    @Override
    public void send() {
        PortEnd to = remote;
        if (to != null) {
            to.deliver();
        }
    }

    /// {@inheritDoc}
    ///
    /// @param loop must be a [NettyDeviceLoop]
    @Override
    public void listen(DeviceLoop loop, Runnable onEvent) {
        if (!(loop instanceof NettyDeviceLoop)) {
            throw new IllegalArgumentException("not a loop that waits for descriptors: " + loop);
        }
        broker.listen(this, () -> gate.listen(loop, onEvent));
    }

    @Override
    @Nullable NettyDeviceLoop listeningLoop() {
        return (NettyDeviceLoop) gate.loop();
    }

    @Override
    void deliver() {
        gate.deliver();
    }

    @Override
    void heard(KickWatch kick) {
        if (gate.deliver()) {
            noise = 0;
        } else if (++noise >= NOISE_LIMIT && paused == null) {
            noise = 0;
            paused = kick;
            kick.pause();
        }
    }

    @Override
    public void mask() {
        gate.mask();
    }

    @Override
    public void unmask() {
        gate.unmask();
        if (paused != null) {
            NettyDeviceLoop loop = listeningLoop();
            if (loop != null) {
                loop.execute(this::resume);
            }
        }
    }

    private void resume() {
        KickWatch kick = paused;
        paused = null;
        if (kick != null && !gate.isClosed()) {
            kick.resume();
        }
    }

    @Override
    public void close() {
        if (gate.close()) {
            broker.close(this);
        }
    }
}
