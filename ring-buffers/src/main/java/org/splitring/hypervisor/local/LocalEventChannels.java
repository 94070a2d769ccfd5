package org.splitring.hypervisor.local;

import java.util.BitSet;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventChannels;

/// The ports of one domain. Port 0 is never given out.
///
/// One port in sixteen is kept for the control plane ([#forControlPlane]), so that a domain that
/// has taken all it can get still can be given the port with which it is shut down (hostile
/// catalogue H-069).
///
/// The table is an array of atomic references, replaced by a longer one when it is full: readers
/// take no lock, and one that still holds the old array sees what was true a moment ago (H-065).
/// Changes are made under the hypervisor's lock, in which no listener runs and nothing is logged
/// (H-063); sending takes no lock at all.
final class LocalEventChannels implements EventChannels {
    static final int ENOSPC = 28;
    static final int EINVAL = 22;
    static final int ESRCH = 3;
    static final int EPERM = 1;

    private final LocalHypervisor hypervisor;
    private final DomId domain;
    private final int maxPorts;
    private final int ordinaryPorts;

    private volatile AtomicReferenceArray<@Nullable LocalPort> table =
            new AtomicReferenceArray<>(8);
    private final BitSet used = new BitSet();
    private boolean gone;

    LocalEventChannels(LocalHypervisor hypervisor, DomId domain, int maxPorts) {
        if (maxPorts < 2) {
            throw new IllegalArgumentException("maxPorts " + maxPorts);
        }
        this.hypervisor = hypervisor;
        this.domain = domain;
        this.maxPorts = maxPorts;
        ordinaryPorts = maxPorts - Math.max(1, maxPorts / 16);
    }

    DomId domain() {
        return domain;
    }

    @Override
    public EventChannel allocUnbound(DomId remote) throws EventChannelException {
        return allocUnbound(remote, ordinaryPorts);
    }

    @Override
    public EventChannel bindInterdomain(DomId remote, int remotePort) throws EventChannelException {
        return bind(remote, remotePort, ordinaryPorts);
    }

    /// The same ports, with the right to the reserve.
    EventChannels forControlPlane() {
        return new EventChannels() {
            @Override
            public EventChannel allocUnbound(DomId remote) throws EventChannelException {
                return LocalEventChannels.this.allocUnbound(remote, maxPorts);
            }

            @Override
            public EventChannel bindInterdomain(DomId remote, int remotePort)
                    throws EventChannelException {
                return bind(remote, remotePort, maxPorts);
            }
        };
    }

    private LocalPort allocUnbound(DomId remote, int limit) throws EventChannelException {
        synchronized (hypervisor.lock()) {
            LocalPort port = newPort(limit, remote, EventChannelStatus.UNBOUND);
            publish(port);
            return port;
        }
    }

    private LocalPort bind(DomId remote, int remotePort, int limit) throws EventChannelException {
        synchronized (hypervisor.lock()) {
            LocalEventChannels peerChannels = hypervisor.channelsOf(remote);
            if (peerChannels == null) {
                throw new EventChannelException(ESRCH, "no domain " + remote);
            }
            LocalPort peer = peerChannels.lookup(remotePort);
            if (peer == null
                    || peer.state != EventChannelStatus.UNBOUND
                    || !peer.remoteDomain.equals(domain)) {
                throw new EventChannelException(
                        EINVAL,
                        "port "
                                + Integer.toUnsignedString(remotePort)
                                + " of domain "
                                + remote
                                + " is not there for domain "
                                + domain);
            }
            // Everything that can be refused has been, before anything is changed (H-067, H-068).
            LocalPort port = newPort(limit, remote, EventChannelStatus.INTERDOMAIN);
            port.remote = peer;
            peer.remote = port;
            peer.state = EventChannelStatus.INTERDOMAIN;
            publish(port);
            port.raise(); // nobody listens yet, so this only marks it
            return port;
        }
    }

    private LocalPort newPort(int limit, DomId remote, EventChannelStatus state)
            throws EventChannelException {
        if (gone) {
            throw new EventChannelException(ESRCH, "domain " + domain + " is no longer there");
        }
        if (used.cardinality() >= limit) {
            throw new EventChannelException(
                    ENOSPC, "domain " + domain + " has its " + limit + " ports");
        }
        return new LocalPort(this, used.nextClearBit(1), remote, state);
    }

    private void publish(LocalPort port) {
        AtomicReferenceArray<@Nullable LocalPort> now = table;
        int number = port.port();
        if (number >= now.length()) {
            AtomicReferenceArray<@Nullable LocalPort> longer =
                    new AtomicReferenceArray<>(2 * number);
            for (int i = 0; i < now.length(); i++) {
                longer.setPlain(i, now.getPlain(i));
            }
            table = longer; // volatile: the elements before the array
            now = longer;
        }
        now.setRelease(number, port); // the port's fields before the port
        used.set(number);
    }

    /// The port of a number, any number. Any thread, without a lock.
    @Nullable LocalPort lookup(int number) {
        AtomicReferenceArray<@Nullable LocalPort> now = table;
        return number >= 0 && number < now.length() ? now.getAcquire(number) : null;
    }

    void close(LocalPort port) {
        synchronized (hypervisor.lock()) {
            if (port.state == EventChannelStatus.CLOSED) {
                return;
            }
            port.state = EventChannelStatus.CLOSED;
            LocalPort peer = port.remote;
            port.remote = null;
            if (peer != null) {
                peer.remote = null;
                peer.state = EventChannelStatus.UNBOUND;
            }
            int number = port.port();
            table.setRelease(number, null);
            used.clear(number);
        }
        port.markClosed();
    }

    /// Closes every port; none can be made after it. The lock is taken for each alone, so that
    /// other domains have their turn (H-064).
    void closeAll() {
        synchronized (hypervisor.lock()) {
            gone = true;
        }
        AtomicReferenceArray<@Nullable LocalPort> last = table;
        for (int number = 1; number < last.length(); number++) {
            LocalPort port = last.get(number);
            if (port != null) {
                port.close();
            }
        }
    }

    /// Ports in use now.
    int openPorts() {
        synchronized (hypervisor.lock()) {
            return used.cardinality();
        }
    }
}
