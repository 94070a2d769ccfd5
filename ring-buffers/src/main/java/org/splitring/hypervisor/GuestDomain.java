package org.splitring.hypervisor;

/// The half of a domain that frontends use: memory of its own, of which pages can be granted.
public interface GuestDomain extends Domain, AutoCloseable {
    GuestMemory memory();

    PageAllocator pages();

    GrantTable grants();

    /// Gives everything up: ports are closed, the memory is unmapped. Devices are closed before.
    @Override
    void close();
}
