package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Anonymous memory behind a descriptor (`memfd_create`), and its seals.
public final class Memfd {
    public static final int F_SEAL_SEAL = 0x1;
    public static final int F_SEAL_SHRINK = 0x2;
    public static final int F_SEAL_GROW = 0x4;
    public static final int F_SEAL_WRITE = 0x8;
    public static final int F_SEAL_FUTURE_WRITE = 0x10;
    public static final int F_SEAL_EXEC = 0x20;

    /// File system type of a memfd of huge pages, see [FileAttributes#fileSystem].
    public static final long HUGETLBFS_MAGIC = 0x958458f6L;

    /// File system type of every other memfd.
    public static final long TMPFS_MAGIC = 0x01021994L;

    private static final int MFD_CLOEXEC = 1;
    private static final int MFD_ALLOW_SEALING = 2;
    private static final int MFD_HUGETLB = 4;
    private static final int F_ADD_SEALS = 1033;
    private static final int F_GET_SEALS = 1034;

    private static final Native.Function MEMFD_CREATE = Native.function("memfd_create");
    private static final Native.Function FTRUNCATE = Native.function("ftruncate");

    private Memfd() {}

    /// New memory of a size, without seals.
    ///
    /// @param name shown in `/proc/PID/maps`
    /// @return its descriptor
    public static int create(String name, long sizeBytes) throws LinuxException {
        return create(name, sizeBytes, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }

    /// New memory that can never be sealed: it reports `F_SEAL_SEAL` alone.
    public static int createUnsealable(String name, long sizeBytes) throws LinuxException {
        return create(name, sizeBytes, MFD_CLOEXEC);
    }

    /// New memory of huge pages of the default size, of which the machine must have some in
    /// reserve.
    public static int createHuge(String name, long sizeBytes) throws LinuxException {
        return create(name, sizeBytes, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    }

    private static int create(String name, long sizeBytes, int flags) throws LinuxException {
        int fd;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocateFrom(name);
            fd = MEMFD_CREATE.callInt(bytes.address(), flags);
        }
        Fd.check("memfd_create " + name, fd);
        int result = truncate(fd, sizeBytes);
        if (result < 0) {
            Fd.close(fd);
            throw new LinuxException(
                    "ftruncate memfd " + name + " to " + sizeBytes + " bytes", -result);
        }
        return fd;
    }

    /// Changes the size, unless a seal forbids it.
    public static void resize(int fd, long sizeBytes) throws LinuxException {
        Fd.check("ftruncate memfd to " + sizeBytes + " bytes", truncate(fd, sizeBytes));
    }

    private static int truncate(int fd, long sizeBytes) {
        return FTRUNCATE.callInt(fd, sizeBytes);
    }

    /// Adds seals; they cannot be taken off again.
    public static void addSeals(int fd, int seals) throws LinuxException {
        Fd.check("fcntl F_ADD_SEALS", Fd.fcntl(fd, F_ADD_SEALS, seals));
    }

    /// The seals of any descriptor.
    ///
    /// @return a set of `F_SEAL_` bits, or `-errno`: `EINVAL` for what is no memory file
    public static int seals(int fd) {
        return Fd.fcntl(fd, F_GET_SEALS, 0);
    }
}
