package org.splitring.hypervisor.xen;

import java.util.HashMap;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.MappingBudget;

/// The domain that this process runs in, as a place for backends: dom0, or a driver domain. Any
/// thread.
///
/// Xen checks every grant; what is counted here is how much of this domain a guest may use.
public final class XenDriverDomain implements DriverDomain {
    private final DomId id;
    private final XenDevices devices;
    private final DomainLimits limits;
    private final int mostAtOnce;
    private final EventChannels eventChannels;
    private final Map<DomId, Share> shares = new HashMap<>(); // guarded by itself

    /// What a guest has, as long as there is a window on its pages.
    private static final class Share {
        final MappingBudget budget;
        int windows;

        Share(int maxMappings) {
            budget = new MappingBudget(maxMappings);
        }
    }

    private XenDriverDomain(DomId id, XenDevices devices, DomainLimits limits) {
        this.id = id;
        this.devices = devices;
        this.limits = limits;
        mostAtOnce = devices.isPv() ? XenForeignPages.MOST_AT_ONCE : 1;
        eventChannels = new XenEventChannels(devices.evtchn());
    }

    /// The domain of this process.
    ///
    /// @param id of this domain, as the store says
    /// @param limits of which the number of mappings counts for each guest
    /// @throws XenUnavailableException as [XenDevices#check]
    public static XenDriverDomain open(DomId id, XenDevices devices, DomainLimits limits)
            throws XenUnavailableException {
        devices.check();
        return new XenDriverDomain(id, devices, limits);
    }

    @Override
    public DomId id() {
        return id;
    }

    @Override
    public EventChannels eventChannels() {
        return eventChannels;
    }

    /// {@inheritDoc} Whether there is such a domain shows at the first mapping.
    @Override
    public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
        if (maxMappings < 1 || maxMappings > limits.maxMappings()) {
            throw new GrantException(
                    GrantStatus.NO_SPACE,
                    maxMappings + " mappings asked for, allowed " + limits.maxMappings());
        }
        Share share;
        synchronized (shares) {
            share = shares.computeIfAbsent(frontend, guest -> new Share(limits.maxMappings()));
            share.windows++;
        }
        ForeignPages pages = null;
        try {
            pages =
                    XenForeignPages.open(
                            devices.gntdev(),
                            frontend,
                            maxMappings,
                            mostAtOnce,
                            share.budget,
                            () -> windowClosed(frontend));
            return pages;
        } finally {
            if (pages == null) {
                windowClosed(frontend);
            }
        }
    }

    private void windowClosed(DomId frontend) {
        synchronized (shares) {
            Share share = shares.get(frontend);
            if (share != null && --share.windows == 0) {
                shares.remove(frontend);
            }
        }
    }

    /// How many pages of other domains are mapped. Any thread.
    public int mappedCount() {
        synchronized (shares) {
            return shares.values().stream().mapToInt(share -> share.budget.taken()).sum();
        }
    }
}
