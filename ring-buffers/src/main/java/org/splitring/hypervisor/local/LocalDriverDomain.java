package org.splitring.hypervisor.local;

import org.splitring.hypervisor.ContiguousMapper;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;

/// A domain of backends in the same JVM. Made by [LocalHypervisor#driverDomain].
final class LocalDriverDomain implements DriverDomain {
    private final LocalHypervisor hypervisor;
    private final DomId id;
    private final LocalEventChannels channels;

    LocalDriverDomain(LocalHypervisor hypervisor, DomId id, int maxPorts) {
        this.hypervisor = hypervisor;
        this.id = id;
        channels = new LocalEventChannels(hypervisor, id, maxPorts);
    }

    @Override
    public DomId id() {
        return id;
    }

    @Override
    public EventChannels eventChannels() {
        return channels;
    }

    LocalEventChannels ports() {
        return channels;
    }

    @Override
    public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
        LocalGuestDomain guest = hypervisor.guest(frontend);
        if (guest == null) {
            throw new GrantException(GrantStatus.BAD_DOMAIN, "no domain " + frontend);
        }
        return guest.pins().open(id, maxMappings, ContiguousMapper.NONE);
    }
}
