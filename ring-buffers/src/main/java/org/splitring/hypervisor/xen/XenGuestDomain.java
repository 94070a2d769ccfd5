package org.splitring.hypervisor.xen;

import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.GntAllocDevice;
import org.splitring.hypervisor.linux.LinuxException;

/// The domain that this process runs in, as a place for frontends on the backends of one other
/// domain, or of this one. Its memory is what Linux lets user space grant: see [XenGrantTable] for
/// what that means for revocation. Any thread.
public final class XenGuestDomain implements GuestDomain {
    private final DomId id;
    private final GntAllocDevice device;
    private final GuestMemory memory;
    private final PageAllocator pages;
    private final XenGrantTable grants;
    private final XenEventChannels channels;

    private XenGuestDomain(DomId id, DomId backend, GntAllocDevice device, XenDevices devices) {
        this.id = id;
        this.device = device;
        memory = new GuestMemory(device.pages());
        pages = new PageAllocator(memory, 0);
        grants = new XenGrantTable(device.grefs(), backend);
        channels = new XenEventChannels(devices.evtchn());
    }

    /// Takes memory for frontends.
    ///
    /// @param id of this domain, as the store says
    /// @param backend the domain whose backends they are on
    /// @param pageCount of memory; all that devices may have together
    /// @throws XenUnavailableException that says what is missing, and what to do
    public static XenGuestDomain open(DomId id, DomId backend, XenDevices devices, int pageCount)
            throws XenUnavailableException {
        devices.checkFrontends();
        try {
            return new XenGuestDomain(
                    id,
                    backend,
                    GntAllocDevice.allocate(devices.gntalloc(), backend.value(), pageCount),
                    devices);
        } catch (LinuxException e) {
            throw new XenUnavailableException(
                    e.errno() == Errno.ENOSPC
                            ? devices.gntalloc()
                                    + " has no "
                                    + pageCount
                                    + " pages left: take fewer, or write a larger number into "
                                    + GntAllocDevice.LIMIT
                            : String.valueOf(e.getMessage()));
        }
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
    public GrantTable grants() {
        return grants;
    }

    @Override
    public EventChannels eventChannels() {
        return channels;
    }

    /// {@inheritDoc} Ports are closed by the devices that have them.
    @Override
    public void close() {
        device.close();
    }
}
