package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

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

    private static final MethodHandle MMAP =
            Native.function("mmap", LONG, LONG, LONG, INT, INT, INT, LONG);
    private static final MethodHandle MUNMAP = Native.function("munmap", INT, LONG, LONG);

    private Mmap() {}

    /// Maps.
    ///
    /// @return an address, or `-errno`: addresses are positive
    static long map(long at, long sizeBytes, int protection, int flags, int fd, long offset) {
        MemorySegment state = Native.state();
        try {
            return Native.orErrno(
                    (long) MMAP.invokeExact(state, at, sizeBytes, protection, flags, fd, offset),
                    state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /// Takes a mapping away.
    ///
    /// @return 0, or `-errno`
    static int unmap(long at, long sizeBytes) {
        MemorySegment state = Native.state();
        try {
            return Native.orErrno((int) MUNMAP.invokeExact(state, at, sizeBytes), state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }
}
