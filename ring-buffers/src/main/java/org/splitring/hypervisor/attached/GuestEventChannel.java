package org.splitring.hypervisor.attached;

import io.netty.channel.epoll.EpollIoOps;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventGate;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.Pipe;

/// A port as the guest's own process has it: an eventfd to kick with, a pipe to be woken by.
final class GuestEventChannel implements EventChannel {
    private final AttachLink link;
    private final int port;
    private final EventFd kick;
    private final Pipe.Reader wake;
    private final EventGate gate = new EventGate();
    private @Nullable FdWatch watch;

    GuestEventChannel(AttachLink link, int port, EventFd kick, Pipe.Reader wake) {
        this.link = link;
        this.port = port;
        this.kick = kick;
        this.wake = wake;
    }

    @Override
    public int port() {
        return port;
    }

    /// {@inheritDoc} Asks the driver domain, so not from the guest's control loop.
    @Override
    public EventChannelStatus status() {
        return gate.isClosed() ? EventChannelStatus.CLOSED : link.status(port);
    }

    @Override
    public void send() {
        kick.signal();
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
            watch = FdWatch.start(netty, wake.fd(), EpollIoOps.EPOLLIN, this::woken, gate::mask);
        }
    }

    private void woken() {
        if (wake.drain()) {
            gate.deliver();
        }
    }

    @Override
    public void mask() {
        gate.mask();
    }

    @Override
    public void unmask() {
        gate.unmask();
    }

    @Override
    public void close() {
        if (release()) {
            link.closed(this);
        }
    }

    /// Gives the descriptors back.
    ///
    /// @return `false` when that was done before
    synchronized boolean release() {
        if (!gate.close()) {
            return false;
        }
        kick.close();
        FdWatch watching = watch;
        if (watching == null) {
            wake.close();
        } else {
            watching.stop(wake::close);
        }
        return true;
    }
}
