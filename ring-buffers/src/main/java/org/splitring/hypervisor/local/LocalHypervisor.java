package org.splitring.hypervisor.local;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.MappingBudget;
import org.splitring.hypervisor.XenstorePage;

/// Domains inside one JVM, with nothing to install: guests have a segment of memory each, and an
/// event is a task on the loop of the end that it is for. What is checked between processes is
/// checked here too, by the same classes.
///
/// Limits of this platform: pages of one ring must be adjacent in the guest's memory.
public final class LocalHypervisor {
    /// Grants mapped at once over all guests, when nothing else is said.
    public static final int DEFAULT_TOTAL_MAPPINGS = 1 << 18;

    /// Ports of a driver domain: they are bound on behalf of devices that the toolstack made, so
    /// this bounds devices, not what a guest can ask for.
    private static final int DRIVER_DOMAIN_PORTS = 1 << 16;

    private final Object lock = new Object();
    private final Map<DomId, LocalGuestDomain> guests = new HashMap<>();
    private final Map<DomId, LocalDriverDomain> driverDomains = new HashMap<>();
    private final MappingBudget totalMappings;

    /// A hypervisor with the usual limit on mappings.
    public LocalHypervisor() {
        this(DEFAULT_TOTAL_MAPPINGS);
    }

    /// @param totalMappings grants mapped at once over all guests
    public LocalHypervisor(int totalMappings) {
        this.totalMappings = new MappingBudget(totalMappings);
    }

    /// Makes a guest with zeroed memory.
    ///
    /// @param memoryBytes a multiple of 4096, at most what the limits allow
    /// @throws IllegalArgumentException when the size does not fit, or the number is taken
    public LocalGuestDomain createGuest(DomId id, long memoryBytes, DomainLimits limits) {
        if (memoryBytes <= 0
                || memoryBytes % GuestMemory.PAGE_SIZE != 0
                || memoryBytes > limits.maxMemoryBytes()) {
            throw new IllegalArgumentException(
                    "memory of " + memoryBytes + " bytes, allowed " + limits.maxMemoryBytes());
        }
        // Made outside the lock: zeroing the memory takes its time.
        LocalGuestDomain guest = new LocalGuestDomain(this, id, memoryBytes, limits, totalMappings);
        synchronized (lock) {
            if (!driverDomains.containsKey(id) && guests.putIfAbsent(id, guest) == null) {
                return guest;
            }
        }
        guest.discard();
        throw new IllegalArgumentException("domain " + id + " is there already");
    }

    /// The driver domain of that number; it is made at the first call.
    ///
    /// @throws IllegalArgumentException when a guest has the number
    public DriverDomain driverDomain(DomId id) {
        synchronized (lock) {
            if (guests.containsKey(id)) {
                throw new IllegalArgumentException("domain " + id + " is a guest");
            }
            return driverDomains.computeIfAbsent(
                    id, key -> new LocalDriverDomain(this, key, DRIVER_DOMAIN_PORTS));
        }
    }

    /// Maps the store's end of a guest's xenstore page and binds its event channel.
    ///
    /// @param guest has a page: [LocalGuestDomain#makeXenstorePage]
    /// @param store the domain that the page was made for
    /// @throws GrantException when the guest has changed the grant of its page, or is gone
    /// @throws EventChannelException when the guest has closed its port
    public XenstorePage openXenstorePage(LocalGuestDomain guest, DriverDomain store)
            throws GrantException, EventChannelException {
        return XenstorePage.open(guest.pins(), store, guest.xenstorePort());
    }

    /// Grants mapped at once over all guests now.
    public int mappedTotal() {
        return totalMappings.taken();
    }

    Object lock() {
        return lock;
    }

    @Nullable LocalGuestDomain guest(DomId id) {
        synchronized (lock) {
            return guests.get(id);
        }
    }

    @Nullable LocalEventChannels channelsOf(DomId id) {
        synchronized (lock) {
            LocalGuestDomain guest = guests.get(id);
            if (guest != null) {
                return guest.ports();
            }
            LocalDriverDomain driver = driverDomains.get(id);
            return driver == null ? null : driver.ports();
        }
    }

    void forget(LocalGuestDomain guest) {
        synchronized (lock) {
            guests.remove(guest.id(), guest);
        }
    }
}
