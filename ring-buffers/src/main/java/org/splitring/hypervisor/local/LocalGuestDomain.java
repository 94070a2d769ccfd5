package org.splitring.hypervisor.local;

import java.lang.foreign.Arena;
import java.util.concurrent.atomic.AtomicBoolean;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantPins;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.MappingBudget;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.hypervisor.XenstorePage;

/// A guest whose memory is a segment of this JVM. Its grant table starts at page 0.
///
/// Made by [LocalHypervisor#createGuest].
public final class LocalGuestDomain implements GuestDomain {
    private final LocalHypervisor hypervisor;
    private final DomId id;
    private final Arena arena;
    private final GuestMemory memory;
    private final PageAllocator pages;
    private final GuestGrantTable grants;
    private final GrantPins pins;
    private final LocalEventChannels channels;
    private final EventChannels controlChannels;
    private volatile int xenstorePort; // 0: none
    private final AtomicBoolean closed = new AtomicBoolean();

    LocalGuestDomain(
            LocalHypervisor hypervisor,
            DomId id,
            long memoryBytes,
            DomainLimits limits,
            MappingBudget total) {
        this.hypervisor = hypervisor;
        this.id = id;
        // An entry for every page, within the limit.
        long pageCount = memoryBytes / GuestMemory.PAGE_SIZE;
        int frames = Math.clamp((pageCount + 511) / 512, 1, limits.maxGrantFrames());
        arena = Arena.ofShared();
        memory = new GuestMemory(arena.allocate(memoryBytes, GuestMemory.PAGE_SIZE));
        pages = new PageAllocator(memory, frames);
        grants = new GuestGrantTable(memory, 0, frames, pages);
        try {
            pins = new GrantPins(memory, id, 0, frames, limits, total);
        } catch (GrantException e) {
            arena.close();
            throw new IllegalArgumentException("no room for a grant table: " + memoryBytes, e);
        }
        channels = new LocalEventChannels(hypervisor, id, limits.maxPorts());
        controlChannels = channels.forControlPlane();
    }

    @Override
    public DomId id() {
        return id;
    }

    @Override
    public GuestMemory memory() {
        return memory;
    }

    @Override
    public PageAllocator pages() {
        return pages;
    }

    @Override
    public GuestGrantTable grants() {
        return grants;
    }

    @Override
    public EventChannels eventChannels() {
        return channels;
    }

    /// The guest's ports as the control plane may take them: with the reserve (hostile catalogue
    /// H-069).
    public EventChannels controlEventChannels() {
        return controlChannels;
    }

    /// Makes the page and the port through which the guest reaches the store, once.
    ///
    /// @param storeDomain where the store runs
    /// @return the guest's end
    /// @throws EventChannelException when not even the reserve has a port left
    public XenstorePage makeXenstorePage(DomId storeDomain) throws EventChannelException {
        int gfn = pages.allocate(1);
        if (gfn < 0) {
            throw new IllegalStateException("no page left in domain " + id);
        }
        EventChannel channel = controlChannels.allocUnbound(storeDomain);
        XenstorePage.prepare(memory, grants.firstGfn(), gfn, storeDomain, channel.port());
        xenstorePort = channel.port();
        return new XenstorePage(memory.pages(gfn, 1), channel, () -> {});
    }

    int xenstorePort() {
        return xenstorePort;
    }

    /// Ports in use now.
    public int openPorts() {
        return channels.openPorts();
    }

    LocalEventChannels ports() {
        return channels;
    }

    /// What the driver domains know of this guest's grants.
    public GrantPins pins() {
        return pins;
    }

    /// Gives back what a guest holds that nobody ever saw.
    void discard() {
        closed.set(true);
        pins.retire(arena::close);
    }

    /// Closes the ports and lets no new window on the memory open. The memory itself goes when the
    /// last backend has closed its window: nobody is left with an address that means nothing.
    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            hypervisor.forget(this);
            channels.closeAll();
            pins.retire(arena::close);
        }
    }

    /// Whether the memory has been given back.
    public boolean isMemoryReleased() {
        return !arena.scope().isAlive();
    }
}
