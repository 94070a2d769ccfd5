package org.splitring.netback;

import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.testkit.PagesView;

/// A driver domain in which copying pages is said to be cheaper than mapping them, as under Xen.
record CopyingDriver(DriverDomain domain) implements DriverDomain {
    @Override
    public DomId id() {
        return domain.id();
    }

    @Override
    public EventChannels eventChannels() {
        return domain.eventChannels();
    }

    @Override
    public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
        return new PagesView(domain.foreignPages(frontend, maxMappings)) {
            @Override
            public boolean isCopyingCheaper() {
                return true;
            }
        };
    }
}
