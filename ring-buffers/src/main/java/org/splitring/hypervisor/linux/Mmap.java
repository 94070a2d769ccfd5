package org.splitring.hypervisor.linux;

/// `mmap` and `munmap`. No call allocates.
final class Mmap {
    static final int PROT_NONE = 0;
    static final int PROT_READ = 1;
    static final int PROT_WRITE = 2;

    static final int MAP_SHARED = 0x1;
    static final int MAP_PRIVATE = 0x2;
    static final int MAP_FIXED = 0x10;
    static final int MAP_ANONYMOUS = 0x20;
    static final int MAP_NORESERVE = 0x4000;
    static final int MAP_POPULATE = 0x8000;
    static final int MAP_FIXED_NOREPLACE = 0x100000;

    /// Addresses that lead nowhere, and cost nothing.
    static final int NOTHING = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    private static final Native.Function MMAP = Native.function("mmap");
    private static final Native.Function MUNMAP = Native.function("munmap");

    private Mmap() {}

    /// Maps.
    ///
    /// @return an address, or `-errno`: addresses are positive
    static long map(long at, long sizeBytes, int protection, int flags, int fd, long offset) {
        return MMAP.call(at, sizeBytes, protection, flags, fd, offset);
    }

    /// Takes a mapping away.
    ///
    /// @return 0, or `-errno`
    static int unmap(long at, long sizeBytes) {
        return MUNMAP.callInt(at, sizeBytes);
    }
}
