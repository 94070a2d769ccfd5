package org.splitring.hypervisor.attached;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.splitring.hypervisor.ContiguousMapper;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantPins;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;

/// One attachment of a guest, from its hello until its memory is unmapped.
public final class AttachedPeer {
    private final DomId domid;
    private final DomainLimits limits;
    private final int storeFd;
    private final int memoryFd;
    private final Mapping mapping;
    private final GuestMemory memory;
    private final GrantPins pins;
    private final PeerDriverDomain driverDomain;

    final PortBroker.GuestPorts ports;
    private int xenstorePort; // 0: none

    AttachedPeer(
            DomId domid,
            DomainLimits limits,
            int storeFd,
            int memoryFd,
            Mapping mapping,
            GuestMemory memory,
            GrantPins pins,
            PortBroker broker,
            DomId driverDomid) {
        this.domid = domid;
        this.limits = limits;
        this.storeFd = storeFd;
        this.memoryFd = memoryFd;
        this.mapping = mapping;
        this.memory = memory;
        this.pins = pins;
        ports = new PortBroker.GuestPorts(limits.maxPorts());
        driverDomain = new PeerDriverDomain(driverDomid, broker);
    }

    public DomId domid() {
        return domid;
    }

    public DomainLimits limits() {
        return limits;
    }

    /// The driver domain's half of the guest's xenstore connection: a blocking stream socket that
    /// carries `xs_wire` messages. It belongs to the [GuestListener].
    public int storeFd() {
        return storeFd;
    }

    public long memoryBytes() {
        return memory.segment().byteSize();
    }

    /// Grants of this guest that backends have mapped now.
    public int mappedGrants() {
        return pins.mapped();
    }

    /// Makes the guest's port to the store and prepares the page. Before the guest is attached.
    void makeXenstorePage(int tableGfn, int gfn, PortBroker broker) throws EventChannelException {
        xenstorePort = broker.makeStaticPort(this).number;
        XenstorePage.prepare(memory, tableGfn, gfn, driverDomain.id(), xenstorePort);
    }

    /// Maps the store's end of the guest's xenstore page and binds its event channel. Any thread;
    /// once.
    ///
    /// @return empty when the guest has no such page
    /// @throws GrantException when the guest has changed the grant of its page, or is gone
    /// @throws EventChannelException when the guest has closed its port
    public Optional<XenstorePage> openXenstorePage() throws GrantException, EventChannelException {
        return xenstorePort == 0
                ? Optional.empty()
                : Optional.of(XenstorePage.open(pins, driverDomain, xenstorePort));
    }

    /// The driver domain as it sees this one attachment. When the guest is gone, its calls are
    /// refused, also when another guest has attached as the same domain.
    public DriverDomain driverDomain() {
        return driverDomain;
    }

    GrantPins pins() {
        return pins;
    }

    Mapping mapping() {
        return mapping;
    }

    /// Called once, when the memory is unmapped.
    void closeMemoryFd() {
        Fd.close(memoryFd);
    }

    /// Makes pages adjacent by mapping them again, page by page, from the memfd.
    private final class Windows implements ContiguousMapper {
        private final List<Mapping> windows = new ArrayList<>();

        @Override
        public synchronized MemorySegment map(int[] gfns) throws GrantException {
            long[] offsets = new long[gfns.length];
            for (int i = 0; i < gfns.length; i++) {
                offsets[i] = GuestMemory.offsetOf(gfns[i]);
            }
            try {
                Mapping window = Mapping.window(memoryFd, offsets, GuestMemory.PAGE_SIZE);
                windows.add(window);
                return window.segment();
            } catch (LinuxException e) {
                throw new GrantException(GrantStatus.NO_DEVICE_SPACE, String.valueOf(e));
            }
        }

        @Override
        public synchronized void unmap(MemorySegment pages) {
            for (int i = 0; i < windows.size(); i++) {
                if (windows.get(i).segment().equals(pages)) {
                    windows.remove(i).close();
                    return;
                }
            }
            throw new IllegalArgumentException("not mapped here: " + pages);
        }
    }

    private final class PeerDriverDomain implements DriverDomain, EventChannels {
        private final DomId id;
        private final PortBroker broker;

        PeerDriverDomain(DomId id, PortBroker broker) {
            this.id = id;
            this.broker = broker;
        }

        @Override
        public DomId id() {
            return id;
        }

        @Override
        public EventChannels eventChannels() {
            return this;
        }

        @Override
        public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
            if (!frontend.equals(domid)) {
                throw new GrantException(GrantStatus.BAD_DOMAIN, "not this domain: " + frontend);
            }
            return pins.open(id, maxMappings, new Windows());
        }

        @Override
        public EventChannel allocUnbound(DomId remote) throws EventChannelException {
            check(remote);
            return broker.driverAllocUnbound(AttachedPeer.this);
        }

        @Override
        public EventChannel bindInterdomain(DomId remote, int remotePort)
                throws EventChannelException {
            check(remote);
            return broker.driverBindInterdomain(AttachedPeer.this, remotePort);
        }

        private void check(DomId remote) throws EventChannelException {
            if (!remote.equals(domid)) {
                throw new EventChannelException(Errno.ESRCH, "not this domain: " + remote);
            }
        }
    }
}
