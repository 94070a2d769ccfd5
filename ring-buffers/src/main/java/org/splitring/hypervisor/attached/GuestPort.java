package org.splitring.hypervisor.attached;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Pipe;

/// A guest's port: its eventfd, of which we only ever wait for a copy, and the writing end of its
/// wake pipe (`docs/notes/wake-pipe.md`).
final class GuestPort extends PortEnd {
    /// Descriptors that stay while the port exists.
    static final int DESCRIPTORS = 2;

    final AttachedPeer owner;
    private final EventFd kick;
    private final Pipe wake;
    private final NettyDeviceLoop relayLoop;
    private boolean handedOver; // the server's loop's

    /// Guarded by the lock of [PortBroker]: who waits for our kicks while the port is bound.
    @Nullable KickWatch watch;

    GuestPort(AttachedPeer owner, DomId remoteDomain, NettyDeviceLoop relayLoop)
            throws LinuxException {
        super(owner.domid(), remoteDomain);
        this.owner = owner;
        this.relayLoop = relayLoop;
        kick = EventFd.create();
        try {
            wake = Pipe.create();
        } catch (LinuxException e) {
            kick.close();
            throw e;
        }
    }

    /// For the reply to the guest, in the order of `docs/abi.md`.
    int[] descriptors() {
        return new int[] {kick.fd(), wake.reader().fd()};
    }

    int kickFd() {
        return kick.fd();
    }

    /// Whether the guest has its end of the pipe, or will never get it.
    boolean isHandedOver() {
        return handedOver;
    }

    /// The guest has its end of the pipe, or will never get it.
    void handedOver() {
        handedOver = true;
        wake.reader().close();
    }

    @Override
    void deliver() {
        wake.writer().signal();
    }

    /// From guest to guest: passed on.
    @Override
    void heard(KickWatch from) {
        deliver();
    }

    @Override
    NettyDeviceLoop listeningLoop() {
        return relayLoop;
    }

    void closeDescriptors() {
        kick.close();
        wake.reader().close();
        wake.writer().close();
    }
}
