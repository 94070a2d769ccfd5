package org.splitring.hypervisor.xen;

import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventGate;
import org.splitring.hypervisor.attached.FdWatch;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.EvtchnDevice;

/// A port of this domain.
///
/// Linux masks the port when it hands an event over, and whoever handled it unmasks it: late
/// re-arm is Xen's own here. What a listener masks beyond that is a matter of the gate alone; an
/// event that comes meanwhile waits in the gate with the port masked, so that a noisy guest costs
/// one event.
final class XenEventChannel implements EventChannel {
    private final EvtchnDevice device;
    private final EventGate gate = new EventGate();

    /// Whether an event was taken and the port not unmasked since.
    private final AtomicBoolean taken = new AtomicBoolean();

    private @Nullable FdWatch watch; // guarded by this

    XenEventChannel(EvtchnDevice device) {
        this.device = device;
    }

    @Override
    public int port() {
        return device.port();
    }

    /// {@inheritDoc} Linux does not tell user space whether the other end is still there.
    @Override
    public EventChannelStatus status() {
        return gate.isClosed() ? EventChannelStatus.CLOSED : EventChannelStatus.INTERDOMAIN;
    }

    @Override
    public void send() {
        device.send();
    }

    /// {@inheritDoc}
    ///
    /// @param loop must be a [NettyDeviceLoop]
    @Override
    public synchronized void listen(DeviceLoop loop, Runnable onEvent) {
        if (!(loop instanceof NettyDeviceLoop netty)) {
            throw new IllegalArgumentException("not a loop that waits for descriptors: " + loop);
        }
        gate.listen(loop, onEvent);
        if (!gate.isClosed()) {
            watch = FdWatch.reading(netty, device.fd(), this::ready, gate::mask);
        }
    }

    private void ready() {
        if (device.take()) {
            taken.set(true);
            gate.deliver();
        }
    }

    @Override
    public void mask() {
        gate.mask();
    }

    /// {@inheritDoc} The gate first: what is pending there came before whatever Xen has pending.
    @Override
    public void unmask() {
        boolean pending = gate.unmask();
        // An event that waits is handled first, and ends with another call of this.
        if (!pending && taken.compareAndSet(true, false)) {
            device.unmask();
        }
    }

    @Override
    public synchronized void close() {
        if (!gate.close()) {
            return;
        }
        FdWatch watching = watch;
        if (watching == null) {
            device.close();
        } else {
            watching.stop(device::close);
        }
    }
}
