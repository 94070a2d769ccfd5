package org.splitring.driverdomain.nbd;

import java.lang.foreign.MemorySegment;

/// Memory that a disk reads into and writes from: adjacent pages of the guest.
public interface DiskBuffer {
    /// All of it; native memory, so that sockets can use it without a copy.
    MemorySegment bytes();
}
