package org.splitring.hypervisor;

/// The half of a domain that backends use: reaching pages that others granted to it.
public interface DriverDomain extends Domain {
    /// Opens a device's own window on the grants of `frontend`. What it maps is counted against the
    /// limits of that guest.
    ///
    /// @param maxMappings how many grants this window may hold mapped at once
    /// @throws GrantException when there is no such domain or its limits are used up
    ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException;
}
