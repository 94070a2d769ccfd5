package org.splitring.hypervisor.attached;

import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.hypervisor.linux.FileStatus;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Memfd;

/// Decides whether a descriptor may become guest memory.
///
/// A mapping of something that its owner can make shorter kills this process at the next access:
/// the signal arrives in compiled code, and no exception handler can be relied on (hostile
/// catalogue J-01, N-13). So it must be a memfd whose size is sealed, whose seals are sealed, made
/// of plain pages, which we can write to.
final class MemoryCheck {
    private static final int WANTED = Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL;

    private MemoryCheck() {}

    /// Looks at a descriptor without touching its content.
    ///
    /// @param fd from the guest, unchecked
    /// @param memoryBytes what the guest says of its size, unsigned
    /// @return 0, or the positive errno to answer
    static int check(int fd, long memoryBytes, DomainLimits limits) {
        if (Long.compareUnsigned(memoryBytes, limits.maxMemoryBytes()) > 0) {
            return Errno.EFBIG;
        }
        if (memoryBytes == 0 || memoryBytes % GuestMemory.PAGE_SIZE != 0) {
            return Errno.EINVAL;
        }
        // Seals exist on memory files only: this refuses files, pipes, sockets, eventfds, dma-bufs,
        // and files of a tmpfs, which carry F_SEAL_SEAL alone.
        int seals = Memfd.seals(fd);
        if (seals < 0 || (seals & ~Memfd.F_SEAL_EXEC) != WANTED) {
            return Errno.EPERM;
        }
        try {
            if ((Fd.flags(fd) & Fd.O_ACCMODE) != Fd.O_RDWR) {
                return Errno.EPERM;
            }
            // A memfd of huge pages can be sealed too, but faults when the reserve is used up.
            if (FileAttributes.fileSystem(fd).type() != Memfd.TMPFS_MAGIC) {
                return Errno.EPERM;
            }
            FileStatus status = Fd.status(fd);
            if (!status.isRegular()) {
                return Errno.EPERM;
            }
            return status.sizeBytes() == memoryBytes ? 0 : Errno.EINVAL;
        } catch (LinuxException e) {
            return Errno.EPERM; // what cannot even be looked at
        }
    }
}
