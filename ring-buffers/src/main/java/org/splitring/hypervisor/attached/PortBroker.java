package org.splitring.hypervisor.attached;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;

/// Which port is bound to which: the event channels of the driver domain and of all its guests.
///
/// One lock for the control plane; sending and receiving take none. Under the lock nothing is
/// logged and nothing foreign is called (hostile catalogue H-063). Everything is checked before
/// anything is changed (H-067), and each step that is undone was done (H-068).
final class PortBroker {
    private final DomId driverDomain;
    private final NettyDeviceLoop relayLoop;
    private final DescriptorBudget budget;
    private final Map<DomId, AttachedPeer> guests = new HashMap<>();
    private final Map<Integer, DriverPort> driverPorts = new HashMap<>();
    private final ArrayDeque<Integer> freeDriverPorts = new ArrayDeque<>();
    private int nextDriverPort = 1;

    /// @param relayLoop waits for guests that send to guests
    PortBroker(DomId driverDomain, NettyDeviceLoop relayLoop, DescriptorBudget budget) {
        this.driverDomain = driverDomain;
        this.relayLoop = relayLoop;
        this.budget = budget;
    }

    synchronized void addGuest(AttachedPeer peer) {
        guests.put(peer.domid(), peer);
        peer.ports.live = true;
    }

    /// From now on nobody binds to the guest, and it gets no port.
    synchronized void removeGuest(AttachedPeer peer) {
        peer.ports.live = false;
        guests.remove(peer.domid(), peer);
    }

    // --- the guest's calls, on the server's loop ---

    /// `EVTCHNOP_alloc_unbound` of a guest.
    GuestPort allocUnbound(AttachedPeer peer, int remoteDomain) throws EventChannelException {
        DomId remote = checkedDomain(remoteDomain);
        GuestPort port = newGuestPort(peer, remote, false);
        synchronized (this) {
            peer.ports.insert(port);
        }
        return port;
    }

    /// A port that a guest finds when it starts, for the driver domain's store to bind to. It may
    /// use the reserve, and the guest is not attached yet.
    GuestPort makeStaticPort(AttachedPeer peer) throws EventChannelException {
        GuestPort port = makeGuestPort(peer, driverDomain);
        synchronized (this) {
            peer.ports.insert(port);
        }
        return port;
    }

    /// The port of a number that was made for the guest and not yet handed over.
    synchronized GuestPort staticPort(AttachedPeer peer, int number) throws EventChannelException {
        GuestPort port = peer.ports.find(number);
        if (port == null) {
            throw new EventChannelException(Errno.EINVAL, "no port " + number);
        }
        if (port.isHandedOver()) {
            throw new EventChannelException(Errno.EBUSY, "port " + number + " was handed over");
        }
        return port;
    }

    /// `EVTCHNOP_bind_interdomain` of a guest.
    GuestPort bindInterdomain(AttachedPeer peer, int remoteDomain, int remotePort)
            throws EventChannelException {
        DomId remote = checkedDomain(remoteDomain);
        boolean toDriver = remote.equals(driverDomain);
        synchronized (this) {
            findUnbound(peer, remote, remotePort); // fails before anything is made
        }
        // A port that the driver domain offers may use the reserve: it is the control plane's.
        GuestPort port = newGuestPort(peer, remote, toDriver);
        try {
            synchronized (this) {
                connect(port, findUnbound(peer, remote, remotePort));
                peer.ports.insert(port);
            }
        } catch (LinuxException e) {
            discard(port);
            throw new EventChannelException(e.errno(), "bind to port " + remotePort + ": " + e);
        } catch (EventChannelException e) {
            discard(port);
            throw e;
        }
        port.deliver(); // left pending, so that an event sent before is not missed
        return port;
    }

    private GuestPort newGuestPort(AttachedPeer peer, DomId remote, boolean mayUseReserve)
            throws EventChannelException {
        synchronized (this) {
            peer.ports.checkRoom(mayUseReserve);
        }
        return makeGuestPort(peer, remote);
    }

    private GuestPort makeGuestPort(AttachedPeer peer, DomId remote) throws EventChannelException {
        if (!budget.take(GuestPort.DESCRIPTORS)) {
            throw new EventChannelException(
                    Errno.EMFILE, "no descriptors left for ports of domain " + peer.domid());
        }
        try {
            return new GuestPort(peer, remote, relayLoop);
        } catch (LinuxException e) {
            budget.give(GuestPort.DESCRIPTORS);
            throw new EventChannelException(e.errno(), "port of domain " + peer.domid() + ": " + e);
        }
    }

    private void discard(GuestPort port) {
        port.closeDescriptors();
        budget.give(GuestPort.DESCRIPTORS);
    }

    /// `EVTCHNOP_close` of a guest.
    void closeGuestPort(AttachedPeer peer, int number) throws EventChannelException {
        GuestPort port;
        synchronized (this) {
            port = peer.ports.find(number);
            if (port == null) {
                throw new EventChannelException(Errno.EINVAL, "no port " + number);
            }
            peer.ports.remove(port);
            port.status = EventChannelStatus.CLOSED;
            disconnect(port);
        }
        discard(port);
    }

    /// Closes up to `budget` ports of a guest that is gone.
    ///
    /// @return `true` when none is left
    boolean closeSomePorts(AttachedPeer peer, int most) {
        for (int i = 0; i < most; i++) {
            GuestPort port;
            synchronized (this) {
                port = peer.ports.last();
                if (port == null) {
                    return true;
                }
                peer.ports.remove(port);
                port.status = EventChannelStatus.CLOSED;
                disconnect(port);
            }
            discard(port);
        }
        synchronized (this) {
            return peer.ports.last() == null;
        }
    }

    /// What `EVTCHNOP_status` answers for a guest's port: status, remote domid, remote port.
    synchronized int[] guestPortStatus(AttachedPeer peer, int number) {
        GuestPort port = peer.ports.find(number);
        if (port == null) {
            return new int[] {wireStatus(EventChannelStatus.CLOSED), 0, 0};
        }
        PortEnd remote = port.remote;
        return new int[] {
            wireStatus(port.status), port.remoteDomain.value(), remote == null ? 0 : remote.number
        };
    }

    private static int wireStatus(EventChannelStatus status) {
        return switch (status) {
            case CLOSED -> 0;
            case UNBOUND -> 1;
            case INTERDOMAIN -> 2;
        };
    }

    // --- the driver domain's calls, any thread ---

    synchronized DriverPort driverAllocUnbound(AttachedPeer peer) throws EventChannelException {
        DriverPort port = newDriverPort(peer);
        driverPorts.put(port.number, port);
        return port;
    }

    DriverPort driverBindInterdomain(AttachedPeer peer, int remotePort)
            throws EventChannelException {
        DriverPort port;
        synchronized (this) {
            checkLive(peer);
            GuestPort remote = peer.ports.find(remotePort);
            if (remote == null
                    || remote.status != EventChannelStatus.UNBOUND
                    || !remote.remoteDomain.equals(driverDomain)) {
                throw new EventChannelException(
                        Errno.EINVAL,
                        "domain " + peer.domid() + " offers no port " + remotePort + " to us");
            }
            port = newDriverPort(peer);
            try {
                connect(remote, port);
            } catch (LinuxException e) {
                forget(port);
                throw new EventChannelException(e.errno(), "bind to port " + remotePort + ": " + e);
            }
            driverPorts.put(port.number, port);
        }
        port.deliver(); // left pending
        return port;
    }

    private DriverPort newDriverPort(AttachedPeer peer) throws EventChannelException {
        checkLive(peer);
        if (peer.ports.driverPorts >= peer.limits().maxPorts()) {
            throw new EventChannelException(
                    Errno.ENOSPC,
                    "domain " + peer.domid() + " has " + peer.ports.driverPorts + " channels");
        }
        DriverPort port = new DriverPort(this, peer, driverDomain);
        Integer free = freeDriverPorts.pollFirst();
        port.number = free == null ? nextDriverPort++ : free;
        peer.ports.driverPorts++;
        return port;
    }

    private static void checkLive(AttachedPeer peer) throws EventChannelException {
        if (!peer.ports.live) {
            throw new EventChannelException(Errno.ESRCH, "domain " + peer.domid() + " is gone");
        }
    }

    void listen(DriverPort port, Runnable register) {
        synchronized (this) {
            register.run();
            NettyDeviceLoop loop = port.listeningLoop();
            if (port.remote instanceof GuestPort guest && guest.watch != null && loop != null) {
                guest.watch.start(loop);
            }
        }
    }

    synchronized EventChannelStatus status(PortEnd port) {
        return port.status;
    }

    void close(DriverPort port) {
        synchronized (this) {
            if (port.status == EventChannelStatus.CLOSED) {
                return;
            }
            port.status = EventChannelStatus.CLOSED;
            driverPorts.remove(port.number, port);
            disconnect(port);
            forget(port);
        }
    }

    private void forget(DriverPort port) {
        freeDriverPorts.addLast(port.number); // the longest unused comes first
        port.peer.ports.driverPorts--;
    }

    // --- with the lock held ---

    private static DomId checkedDomain(int value) throws EventChannelException {
        if (value < 0 || value >= DomId.FIRST_RESERVED) {
            throw new EventChannelException(
                    Errno.EINVAL, "domid " + Integer.toUnsignedString(value));
        }
        return new DomId(value);
    }

    private PortEnd findUnbound(AttachedPeer caller, DomId remote, int number)
            throws EventChannelException {
        PortEnd end;
        if (remote.equals(driverDomain)) {
            DriverPort port = driverPorts.get(number);
            end = port;
        } else {
            AttachedPeer peer = guests.get(remote);
            if (peer == null) {
                throw new EventChannelException(Errno.ESRCH, "no domain " + remote);
            }
            end = peer.ports.find(number);
        }
        if (end == null
                || end.status != EventChannelStatus.UNBOUND
                || !end.remoteDomain.equals(caller.domid())
                // A port offered to an earlier guest of this number is not for this one.
                || (end instanceof DriverPort port && port.peer != caller)) {
            throw new EventChannelException(
                    Errno.EINVAL,
                    "domain " + remote + " offers no port " + Integer.toUnsignedString(number));
        }
        return end;
    }

    private void connect(GuestPort port, PortEnd remote) throws LinuxException {
        port.watch = watch(port, remote);
        if (remote instanceof GuestPort other) {
            try {
                other.watch = watch(other, port);
            } catch (LinuxException e) {
                port.watch.stop();
                port.watch = null;
                throw e;
            }
            other.watch.start(relayLoop);
        }
        port.status = EventChannelStatus.INTERDOMAIN;
        remote.status = EventChannelStatus.INTERDOMAIN;
        port.remote = remote;
        remote.remote = port;
        NettyDeviceLoop loop = remote.listeningLoop();
        if (loop != null) {
            port.watch.start(loop);
        }
    }

    private KickWatch watch(GuestPort source, PortEnd target) throws LinuxException {
        if (!budget.take(1)) {
            throw new LinuxException("watch of a port", Errno.EMFILE);
        }
        try {
            return new KickWatch(source, target, budget);
        } catch (LinuxException e) {
            budget.give(1);
            throw e;
        }
    }

    private static void disconnect(PortEnd port) {
        PortEnd remote = port.remote;
        port.remote = null;
        stopWatch(port);
        if (remote != null) {
            remote.remote = null;
            remote.status = EventChannelStatus.UNBOUND;
            stopWatch(remote);
        }
    }

    private static void stopWatch(@Nullable PortEnd port) {
        if (port instanceof GuestPort guest && guest.watch != null) {
            guest.watch.stop();
            guest.watch = null;
        }
    }

    /// Ports of one guest. Guarded by the broker's lock.
    static final class GuestPorts {
        private final @Nullable GuestPort[] table;
        private final int reserved;
        private int count;
        private boolean live;
        private int driverPorts;

        /// @param maxPorts numbers 1 to this; one in sixteen is kept for the control plane
        GuestPorts(int maxPorts) {
            table = new GuestPort[maxPorts + 1];
            reserved = maxPorts < 2 ? 0 : Math.max(1, maxPorts / 16);
        }

        private void checkRoom(boolean mayUseReserve) throws EventChannelException {
            int most = table.length - 1 - (mayUseReserve ? 0 : reserved);
            if (!live) {
                throw new EventChannelException(Errno.ESRCH, "the domain is gone");
            }
            if (count >= most) {
                throw new EventChannelException(Errno.ENOSPC, "all " + most + " ports are in use");
            }
        }

        private void insert(GuestPort port) {
            for (int number = 1; number < table.length; number++) {
                if (table[number] == null) {
                    table[number] = port;
                    port.number = number;
                    count++;
                    return;
                }
            }
            throw new IllegalStateException("no free port although there was room: " + count);
        }

        private void remove(GuestPort port) {
            table[port.number] = null;
            count--;
        }

        private @Nullable GuestPort find(int number) {
            return number > 0 && number < table.length ? table[number] : null;
        }

        private @Nullable GuestPort last() {
            for (int number = table.length - 1; number > 0 && count > 0; number--) {
                GuestPort port = table[number];
                if (port != null) {
                    return port;
                }
            }
            return null;
        }
    }
}
