package org.splitring.hypervisor.attached;

import io.netty.channel.epoll.EpollIoOps;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;

/// Waits for a guest's eventfd for as long as its port is bound. It has a descriptor of its own, so
/// that an old watch that is just ending and a new one of the same port never meet under one
/// number.
///
/// The eventfd is never read or written here: edge-triggered, each write of the guest is an event,
/// and its flags and counter are the guest's to spoil.
final class KickWatch {
    private final int fd;
    private final PortEnd target;
    private final DescriptorBudget budget;
    private @Nullable FdWatch watch;
    private boolean stopped;

    /// @param target hears of the events
    /// @param budget one descriptor of it was taken by the caller, and is given back at [#stop]
    KickWatch(GuestPort source, PortEnd target, DescriptorBudget budget) throws LinuxException {
        fd = Fd.duplicate(source.kickFd());
        this.target = target;
        this.budget = budget;
    }

    /// Starts to listen, once. With the lock of [PortBroker].
    void start(NettyDeviceLoop loop) {
        if (watch == null && !stopped) {
            watch = FdWatch.start(loop, fd, EpollIoOps.EPOLLIN, () -> target.heard(this), () -> {});
        }
    }

    /// The guest kicks on although its last event was not served yet: do not listen for a while. On
    /// the loop.
    void pause() {
        FdWatch now = watch;
        if (now != null) {
            now.pause();
        }
    }

    /// On the loop.
    void resume() {
        FdWatch now = watch;
        if (now != null) {
            now.resume();
        }
    }

    /// Stops and closes the descriptor. With the lock of [PortBroker].
    void stop() {
        if (stopped) {
            return;
        }
        stopped = true;
        if (watch == null) {
            close();
        } else {
            watch.stop(this::close);
        }
    }

    private void close() {
        Fd.close(fd);
        budget.give(1);
    }
}
