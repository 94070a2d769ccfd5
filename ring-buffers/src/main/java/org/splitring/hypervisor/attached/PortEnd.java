package org.splitring.hypervisor.attached;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannelStatus;

/// One end of an event channel as the driver domain's process keeps it. All fields except `remote`
/// are guarded by the lock of [PortBroker].
abstract sealed class PortEnd permits GuestPort, DriverPort {
    final DomId domain;
    DomId remoteDomain;
    int number;
    EventChannelStatus status = EventChannelStatus.UNBOUND;

    /// The other end while bound. Written under the lock, read by whoever sends.
    volatile @Nullable PortEnd remote;

    PortEnd(DomId domain, DomId remoteDomain) {
        this.domain = domain;
        this.remoteDomain = remoteDomain;
    }

    /// An event for this end.
    abstract void deliver();

    /// The other end's eventfd was written. On the loop of `kick`.
    abstract void heard(KickWatch kick);

    /// Which loop waits for the other end's eventfd, or `null` while nobody listens.
    abstract @Nullable NettyDeviceLoop listeningLoop();
}
