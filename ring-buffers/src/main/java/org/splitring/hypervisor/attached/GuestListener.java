package org.splitring.hypervisor.attached;

/// Hears of guests that come and go. Called on the server's loop: hand the work over and return.
public interface GuestListener {
    /// A guest has attached. The listener now owns [AttachedPeer#storeFd] and closes it.
    void attached(AttachedPeer peer);

    /// The guest is gone and its ports are closed. Its memory stays mapped until every window that
    /// was opened through [AttachedPeer#driverDomain] is closed, and only then may another guest
    /// attach as this domain: close the devices, whenever that is possible.
    void detached(AttachedPeer peer);
}
